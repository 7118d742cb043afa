"""Makes FIFOs, sockets and devices, for who asks for them."""

import errno
import os
import stat

from haulage.errors import PermanentError, UnstableError, VanishedError
from haulage.model import Action, Kind, Outcome, Status
from haulage.paths import parent_of
from haulage.storage.tree.files import (
    entry_of,
    kind_of,
    pin,
    pin_in,
    reach,
    remove_if_there,
    rename_over,
)
from haulage.storage.tree.metadata.attributes import mark_of
from haulage.storage.tree.metadata.entries import Metadata, metadata_of, set_metadata
from haulage.verbs.attempt import Attempt, is_as_listed, tree

_TYPES = {
    Kind.FIFO: stat.S_IFIFO,
    Kind.SOCKET: stat.S_IFSOCK,
    Kind.CHAR: stat.S_IFCHR,
    Kind.BLOCK: stat.S_IFBLK,
}
_WORDS = {
    Kind.FIFO: "FIFO",
    Kind.SOCKET: "socket",
    Kind.CHAR: "character device",
    Kind.BLOCK: "block device",
}
# XFS has no majors from 512 on, others have no devices at all.
_NOT_HERE = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.EINVAL})


def special_file(attempt: Attempt, action: Action, row: int) -> Outcome:
    """Make or replace a special file through a temporary name."""
    found, wanted = _at_source(attempt, action)
    above = parent_of(action.path)
    temp = tree(attempt.target).temp(row)
    dir_fd = reach(tree(attempt.target).descent, above, temp)
    _make(dir_fd, temp, found, tree(attempt.target).preserved.new_mode)
    try:
        outcome = _dressed(attempt, dir_fd, temp, wanted, above)
        attempt.check_cancelled()
        rename_over(dir_fd, temp, action.path[len(above) :])
    except BaseException:
        remove_if_there(dir_fd, temp)
        raise
    entry = None if is_as_listed(action, found) else entry_of(action.path, found)
    return outcome._replace(entry=entry)


def _at_source(attempt: Attempt, action: Action) -> tuple[os.stat_result, Metadata]:
    """Return what the source is now, which is never opened: that may wait or act."""
    tree(
        attempt.source
    ).descent.forget()  # a directory kept open may have been replaced
    try:
        fd = pin(tree(attempt.source).descent, action.path)
    except (FileNotFoundError, NotADirectoryError) as err:
        raise VanishedError("is gone since it was listed") from err
    try:
        found = os.fstat(fd)
        if kind_of(found.st_mode) != action.kind:
            raise UnstableError("is of another type since it was listed")
        return found, metadata_of(
            fd, found, tree(attempt.target).preserved, pinned=True
        )
    finally:
        os.close(fd)


def _make(dir_fd: int, temp: bytes, found: os.stat_result, mode: int) -> None:
    kind = kind_of(found.st_mode)
    try:
        os.mknod(temp, _TYPES[kind] | mode, found.st_rdev, dir_fd=dir_fd)
    except OSError as err:
        if err.errno not in _NOT_HERE:
            raise
        raise PermanentError(
            f"a {_WORDS[kind]} cannot be made here: {err.strerror}; devices are for "
            f"root alone, and not every file system or container takes each"
        ) from err


def _dressed(
    attempt: Attempt, dir_fd: int, temp: bytes, wanted: Metadata, above: bytes
) -> Outcome:
    changes = tree(attempt.target).inheritance.changes_to_new(
        above, dir_fd, wanted.xattrs
    )
    fd = pin_in(dir_fd, temp)
    try:
        handle = b"/proc/self/fd/%d" % fd
        lost = set_metadata(handle, wanted, changes, tree(attempt.target).preserved)
        return Outcome(
            Status.MADE,
            lost=lost,
            made=mark_of(handle, lost, tree(attempt.target).preserved),
        )
    finally:
        os.close(fd)
