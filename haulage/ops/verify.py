"""Reads the target again and holds it against what was sent."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from haulage.errors import MismatchError
from haulage.model import Action, Kind, Outcome, Status, Verified, parent_of
from haulage.ops.content import digest_of, forget_cached, is_same_data
from haulage.ops.work import Work
from haulage.storage.holes import is_hashed
from haulage.storage.posix import entry_of, open_file, open_source, stat_in, stood_still


def verify(work: Work, action: Action, _row: int) -> Outcome:
    """Prove one entry of the target; MismatchError says what is different."""
    if action.kind != Kind.FILE or not work.verifies_content:
        _prove_attributes(work, action)
        proof = max(Verified.METADATA, Verified(action.verified))
        return Outcome(Status.VERIFIED, action.checksum, proof, action.racy)
    with _target(work, action) as target:
        if action.checksum is None:
            found = _prove_against_source(work, action, target)
        else:
            found = digest_of(work, target)
            if found != action.checksum:
                raise MismatchError(_OTHER_CONTENT)
    return Outcome(
        Status.VERIFIED, found, Verified.CHECKSUM, action.racy, moved=action.size
    )


_OTHER_CONTENT = "the target's content is not what the source's was"


@contextmanager
def _target(work: Work, action: Action) -> Iterator[int]:
    """Open the target's file, to be read from the disk."""
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
        yield fd
    finally:
        os.close(fd)


def _prove_against_source(work: Work, action: Action, target: int) -> bytes | None:
    """Read both, because what the kernel copied, or has huge holes, has no checksum."""
    fd = open_source(work.source, action.path)
    try:
        before = os.fstat(fd)
        if is_hashed(before):
            checksum = digest_of(work, fd)
            same = digest_of(work, target) == checksum
        else:
            checksum, same = None, is_same_data(work, fd, target)
        if not stood_still(before, os.fstat(fd)):
            raise MismatchError("the source changed, so the copy can not be proven")
    finally:
        os.close(fd)
    if not same:
        raise MismatchError(_OTHER_CONTENT)
    return checksum


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
