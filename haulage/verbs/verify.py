"""Reads the target again and holds it against what was sent."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from haulage.errors import MismatchError
from haulage.model import Action, Kind, Outcome, Status, Verified
from haulage.paths import parent_of, shown
from haulage.storage.tree.files import (
    entry_of,
    open_file,
    open_source,
    stat_in,
    stood_still,
)
from haulage.storage.tree.metadata.attributes import Attributes, as_kept, attributes_of
from haulage.storage.tree.sparse import is_hashed
from haulage.verbs.attempt import Work
from haulage.verbs.content import digest_of, forget_cached, is_same_data
from haulage.verbs.mismatch import unlike


def verify(work: Work, action: Action, row: int) -> Outcome:
    """Prove one entry of the target; MismatchError says what is different.

    What has a `leader` is to be another name of it.
    """
    if action.leader is not None:
        _prove_same(work, action, action.leader)
        return verify(work, action._replace(leader=None), row)
    if action.kind != Kind.FILE or not work.verifies_content:
        _prove_attributes(work, action)
        proof = max(Verified.METADATA, Verified(action.verified))
        return Outcome(
            Status.VERIFIED, action.checksum, proof, action.racy, made=action.made
        )
    moved = action.size
    with _target(work, action) as target:
        if action.checksum is None:
            found: bytes | None = _prove_against_source(work, action, target)
        elif (found := work.proofs.of(os.fstat(target))) is not None:
            moved = 0  # it was read by another of its names
        else:
            found = digest_of(work, target)
            work.proofs.note(os.fstat(target), found)
    if action.checksum not in (None, found):
        raise MismatchError(_OTHER_CONTENT)
    return Outcome(
        Status.VERIFIED, found, Verified.CHECKSUM, action.racy, moved=moved,
        made=action.made,
    )  # fmt: skip


def _prove_same(work: Work, action: Action, other: bytes) -> None:
    mine, found = stat_in(work.target, action.path), stat_in(work.target, other)
    if mine and found and not os.path.samestat(mine, found):
        raise MismatchError(
            f"is no longer the same file as {shown(other)} in the target; the next run "
            f"links them again"
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
        _hold_against(work, action, os.fstat(fd), None)
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
    _hold_against(work, action, found, target)


def _hold_against(
    work: Work, action: Action, found: os.stat_result, target: bytes | None
) -> None:
    """Raise MismatchError unless the target's entry has what is kept."""
    entry = entry_of(action.path, found, target)
    wanted = _as_made(work, action, found)
    if wrong := unlike(entry, wanted, _kept_names(work, action)):
        raise MismatchError("; ".join(wrong))


def _kept_names(work: Work, action: Action) -> list[str]:
    """Return what is kept: kind, size, times and target, and what root can set.

    A directory in doubt waits for its attributes.
    """
    names = ["kind", "target"]
    if action.kind == Kind.DIR and action.racy:
        return names
    if work.kept.times or action.made is not None:
        names += ["mtime_s", "mtime_ns"]
    if action.kind == Kind.FILE:
        names.append("size")
    if os.geteuid() == 0:
        names += ["uid", "gid"]
        if action.kind != Kind.SYMLINK:
            names.append("mode")
    return names


def _as_made(work: Work, action: Action, found: os.stat_result) -> Action:
    """Return the action with what the target's entry should have instead."""
    action = action.with_mtime_at_target()
    mtime_ns = action.mtime_since_epoch_ns
    source = Attributes(action.mode, action.uid, action.gid, mtime_ns, mtime_ns)
    kept = as_kept(source, attributes_of(found), work.kept)
    return action._replace(mode=kept.mode, uid=kept.uid, gid=kept.gid)
