"""Copies a file larger than a shard: its parts by many movers, its name by one."""

import os
import stat
from collections.abc import Sequence

import xxhash

from haulage.errors import MismatchError, UnstableError, VanishedError
from haulage.model import Action, Outcome, Status, Verified
from haulage.paths import parent_of
from haulage.storage.tree.clock import now_at
from haulage.storage.tree.files import (
    entry_of,
    open_source,
    open_to_write,
    reach,
    remove_if_there,
    rename_over,
    stood_still,
)
from haulage.storage.tree.kernel import copy_part, feed, forget_cached
from haulage.storage.tree.metadata.attributes import mark_of
from haulage.storage.tree.metadata.entries import (
    Metadata,
    changes_to,
    metadata_of,
    set_metadata,
)
from haulage.storage.tree.metadata.xattrs import joined
from haulage.verbs.attempt import Attempt, is_as_listed, is_racy, look_again, tree
from haulage.verbs.lustre import begin_shared, lost_by_parts

_CHANGED = "changed while its parts were copied"
_GONE = "its parts are gone; it is copied again"


def part(attempt: Attempt, action: Action, row: int) -> Outcome:
    """Copy one byte range of a split file into the file's shared temporary."""
    source = open_source(tree(attempt.source).descent, action.path)
    try:
        now = now_at(source)
        before = os.fstat(source)
        if not stat.S_ISREG(before.st_mode) or before.st_size != action.size:
            raise UnstableError("changed since it was listed")
        dir_fd = reach(
            tree(attempt.target).descent,
            parent_of(action.path),
            tree(attempt.target).temp(row),
        )
        temp = tree(attempt.target).split_name(action.path)
        target = begin_shared(attempt, action, row, dir_fd, temp)
        try:
            piece = (action.offset, action.length)
            moved = attempt.moved
            copied, checksum = copy_part(
                tree(attempt.target).kernel, source, target, piece, before
            )
            if tree(attempt.target).fsync:
                os.fsync(target)
        finally:
            os.close(target)
        if copied != action.length or not stood_still(before, os.fstat(source)):
            raise UnstableError("changed while it was copied")
    finally:
        os.close(source)
    entry = None if is_as_listed(action, before) else entry_of(action.path, before)
    racy = is_racy(before.st_mtime_ns, before.st_ctime_ns, now)
    return Outcome(
        Status.PART,
        checksum=checksum,
        racy=racy,
        moved=attempt.moved - moved,  # without holes
        entry=entry,
    )


def publish(
    attempt: Attempt, whole: Action, _row: int, parts: Sequence[Action]
) -> Outcome:
    """Give a completed split file its attributes and its name.

    Where its bytes passed through us, what arrived is read again first: each part
    against its own checksum, and all of it for the checksum of the whole.
    """
    above = parent_of(whole.path)
    name, temp = (
        whole.path[len(above) :],
        tree(attempt.target).split_name(whole.path),
    )
    try:
        dir_fd = open_to_write(tree(attempt.target).descent, above)
    except (FileNotFoundError, NotADirectoryError) as err:
        raise UnstableError(_GONE) from err
    if _was_published(dir_fd, name, temp, parts):
        return _complete(attempt, dir_fd, name, parts)
    try:
        outcome = _complete(attempt, dir_fd, temp, parts)
        _look_at_source(
            attempt, parts
        )  # reading back what arrived may have taken hours
        attempt.check_cancelled()
        rename_over(dir_fd, temp, name)
    except (MismatchError, UnstableError):  # who was only stopped leaves the parts
        remove_if_there(dir_fd, temp)
        raise
    return outcome


def _was_published(
    dir_fd: int, name: bytes, temp: bytes, parts: Sequence[Action]
) -> bool:
    """Tell whether an attempt renamed the file and died before it could say so.

    Only the checksums of its parts tell that from an old file which looks the same.
    """
    whole = parts[-1]
    if any(piece.checksum is None for piece in parts):
        return False
    try:
        os.stat(temp, dir_fd=dir_fd, follow_symlinks=False)
    except FileNotFoundError:
        try:
            found = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return (found.st_size, found.st_mtime_ns) == (
            whole.size,
            whole.mtime_since_epoch_ns,
        )
    return False


def _complete(
    attempt: Attempt, dir_fd: int, name: bytes, parts: Sequence[Action]
) -> Outcome:
    """Prove what arrived under `name` and give it its attributes."""
    whole = parts[0]
    now = _look_at_source(attempt, parts)
    wanted = _wanted_of(attempt, whole, now)
    try:
        target = os.open(name, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=dir_fd)
    except FileNotFoundError as err:
        raise UnstableError(_GONE) from err
    try:
        os.ftruncate(target, whole.size)  # a hole at the end was not written
        checksum = _prove_parts(attempt, target, parts)
        changes = changes_to(
            target, os.fstat(target), wanted.xattrs, tree(attempt.target).preserved
        )
        lost = set_metadata(target, wanted, changes, tree(attempt.target).preserved)
        lost = joined(lost, lost_by_parts(attempt, whole, dir_fd, name))
        made = mark_of(target, lost, tree(attempt.target).preserved)
        if tree(attempt.target).fsync:
            os.fsync(target)
    finally:
        os.close(target)
    proof = Verified.NONE if checksum is None else Verified.CHECKSUM
    racy = any(piece.racy for piece in parts)
    return Outcome(Status.COPIED, checksum, proof, racy, lost=lost, made=made)


def _look_at_source(attempt: Attempt, parts: Sequence[Action]) -> os.stat_result:
    """Return the source's file, which must be the one that every part was copied of."""
    try:
        now = look_again(attempt, parts[0].path)
    except VanishedError as err:
        raise UnstableError(_CHANGED) from err
    if not all(is_as_listed(piece, now) for piece in parts):
        raise UnstableError(_CHANGED)
    return now


def _wanted_of(attempt: Attempt, whole: Action, now: os.stat_result) -> Metadata:
    source = open_source(tree(attempt.source).descent, whole.path)
    try:
        return metadata_of(source, now, tree(attempt.target).preserved)
    finally:
        os.close(source)


def _prove_parts(
    attempt: Attempt, target: int, parts: Sequence[Action]
) -> bytes | None:
    """Return the whole's checksum; MismatchError if a part's own differs.

    None where the kernel copied, so that no part has a checksum.
    """
    if any(part.checksum is None for part in parts):
        return None
    forget_cached(target)
    whole = xxhash.xxh3_128()
    for piece in sorted(parts, key=lambda piece: piece.offset):
        own = xxhash.xxh3_128()
        feed(
            tree(attempt.target).kernel,
            [own, whole],
            target,
            piece.offset,
            piece.length,
        )
        if own.digest() != piece.checksum:
            raise MismatchError(
                f"bytes {piece.offset} to {piece.offset + piece.length} of what was "
                f"written read back differently"
            )
    return whole.digest()


def discard(attempt: Attempt, action: Action, _row: int) -> Outcome:
    """Remove the temporary of a split file that will not be published."""
    try:
        dir_fd = tree(attempt.target).descent.open(parent_of(action.path))
    except (FileNotFoundError, NotADirectoryError):
        return Outcome(Status.ABSENT)
    remove_if_there(dir_fd, tree(attempt.target).split_name(action.path))
    return Outcome(Status.ABSENT)
