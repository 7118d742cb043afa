"""Reads the target again and holds it against what was sent."""

import errno
import os

from haulage.errors import MismatchError
from haulage.model import Action, Kind, Outcome, Status, Verified, parent_of
from haulage.ops.content import digest_of, forget_cached
from haulage.ops.work import Work
from haulage.storage.posix import entry_of, open_file, open_source, stat_in, stood_still


def verify(work: Work, action: Action, _row: int) -> Outcome:
    """Prove one entry of the target; MismatchError says what is different."""
    if action.kind != Kind.FILE or not work.verifies_content:
        _prove_attributes(work, action)
        proof = max(Verified.METADATA, Verified(action.verified))
        return Outcome(Status.VERIFIED, action.checksum, proof, action.racy)
    found = _digest_of_target(work, action)
    if found != (action.checksum or _digest_of_source(work, action)):
        raise MismatchError("the target's content is not what the source's was")
    return Outcome(
        Status.VERIFIED, found, Verified.CHECKSUM, action.racy, moved=action.size
    )


def _digest_of_target(work: Work, action: Action) -> bytes:
    try:
        fd = open_file(work.target, action.path)
    except (FileNotFoundError, NotADirectoryError) as err:
        raise MismatchError("is missing in the target") from err
    except OSError as err:
        if err.errno in (errno.ELOOP, errno.ENXIO):
            raise MismatchError("is no longer a file") from err
        raise
    try:
        _hold_against(action, os.fstat(fd), None)
        forget_cached(fd)
        return digest_of(work, fd)
    finally:
        os.close(fd)


def _digest_of_source(work: Work, action: Action) -> bytes:
    """Read the source, because a copy made by the kernel has no checksum."""
    fd = open_source(work.source, action.path)
    try:
        before = os.fstat(fd)
        checksum = digest_of(work, fd)
        if not stood_still(before, os.fstat(fd)):
            raise MismatchError("the source changed, so the copy can not be proven")
        return checksum
    finally:
        os.close(fd)


def _prove_attributes(work: Work, action: Action) -> None:
    found = stat_in(work.target, action.path)
    if found is None:
        raise MismatchError("is missing in the target")
    target = None
    if action.kind == Kind.SYMLINK:
        above = parent_of(action.path)
        name = action.path[len(above) :]
        target = os.readlink(name, dir_fd=work.target.open(above))
    _hold_against(action, found, target)


def _hold_against(action: Action, found: os.stat_result, target: bytes | None) -> None:
    """Compare kind, size, times and target; for root, what root alone can set."""
    entry = entry_of(action.path, found, target)
    names = ["kind", "mtime_s", "mtime_ns", "target"]
    if action.kind == Kind.FILE:
        names.append("size")
    if os.geteuid() == 0:
        names += (
            ["uid", "gid"] if action.kind == Kind.SYMLINK else ["uid", "gid", "mode"]
        )
    wrong = [name for name in names if getattr(entry, name) != getattr(action, name)]
    if wrong:
        raise MismatchError(
            "; ".join(
                f"{name} is {getattr(entry, name)!r}, not {getattr(action, name)!r}"
                for name in wrong
            )
        )
