"""Restore entries from the trash, and empty the trash.

A deleted directory is restored by one rename, with its content. If a directory exists
there by now, the deleted one's content is restored entry by entry.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from haulage.model import Action, Kind, Outcome, Status
from haulage.paths import parent_of
from haulage.storage.tree.descent import Descent
from haulage.storage.tree.files import open_to_write, stat_in
from haulage.storage.tree.ours import TRASH
from haulage.storage.tree.trash.move import check_is_ours, is_aside, reach, trash_of

_STANDS = "something stands at its path now; move it away and undo again"
_ABOVE = "something else stands above it now; move it away and undo again"
_MERGED = "a directory stands at its path now, and keeps its attributes"
_NOWHERE = "is neither in the trash nor at its path any more"
_HAS_CONTENT = frozenset({errno.ENOTEMPTY, errno.EEXIST})
_IN_THE_WAY = _HAS_CONTENT | {errno.ENOTDIR}


def bring_back(descent: Descent, action: Action, trash: bytes) -> Outcome:
    """Restore an entry from the trash; an entry at its path by now is kept.

    An entry that is back already, by another attempt or with a directory above it,
    counts as restored.
    """
    descent.forget()  # other movers rename directories
    path = action.path
    check_is_ours(descent, trash)
    if not is_aside(descent, path, trash):
        if stat_in(descent, path) is None:
            return Outcome(Status.FAILED, reason=_NOWHERE)
        return Outcome(Status.RESTORED)
    above = parent_of(path)
    try:
        target = reach(descent, above)
    except NotADirectoryError:
        return Outcome(Status.BLOCKED, reason=_ABOVE)
    try:
        aside = open_to_write(descent, trash + above)
        if action.kind == Kind.DIR:
            return _rename_dir(path[len(above) : -1], aside, target)
        return _move_file(path[len(above) :], aside, target)
    finally:
        os.close(target)
        descent.forget()


def _move_file(name: bytes, aside: int, target: int) -> Outcome:
    try:
        # A rename would replace what stands there; a second name never does.
        os.link(name, name, src_dir_fd=aside, dst_dir_fd=target, follow_symlinks=False)
    except FileExistsError:
        if not os.path.samestat(_lstat(name, aside), _lstat(name, target)):
            return Outcome(Status.BLOCKED, reason=_STANDS)
        # An attempt was killed here, with the entry under both names.
    os.unlink(name, dir_fd=aside)
    return Outcome(Status.RESTORED)


def _rename_dir(name: bytes, aside: int, target: int) -> Outcome:
    with suppress(FileNotFoundError):
        is_dir = stat.S_ISDIR(_lstat(name, target).st_mode)
        if is_dir:
            return Outcome(Status.KEPT, reason=_MERGED)
        return Outcome(Status.BLOCKED, reason=_STANDS)
    try:
        with _writable(name, aside):
            os.rename(name, name, src_dir_fd=aside, dst_dir_fd=target)
    except OSError as err:
        if err.errno in _IN_THE_WAY:  # since we looked
            return Outcome(Status.BLOCKED, reason=_STANDS)
        raise
    return Outcome(Status.RESTORED)


@contextmanager
def _writable(name: bytes, dir_fd: int) -> Iterator[None]:
    """Let an owner rename a read-only directory, which only root may do."""
    if os.geteuid() == 0:
        yield
        return
    flags = os.O_PATH | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC
    pinned = os.open(name, flags, dir_fd=dir_fd)
    handle = b"/proc/self/fd/%d" % pinned
    mode = stat.S_IMODE(os.fstat(pinned).st_mode)
    try:
        if mode & 0o700 == 0o700:  # which may be another's, whom we may not change
            yield
            return
        os.chmod(handle, mode | 0o700)
        try:
            yield
        finally:
            os.chmod(handle, mode)
    finally:
        os.close(pinned)


def _lstat(name: bytes, dir_fd: int) -> os.stat_result:
    return os.stat(name, dir_fd=dir_fd, follow_symlinks=False)


def empty(root: str, run_id: str) -> None:
    """Remove a run's trash for good; no error if it is gone already."""
    _clear(root, run_id, with_files=True)


def tidy(root: str, run_id: str) -> int:
    """Remove the directories left in a run's trash; return how many entries stay."""
    return _clear(root, run_id, with_files=False)


def _clear(root: str, run_id: str, *, with_files: bool) -> int:
    """Remove a trash by descriptors, however deep; return how many files stay."""
    descent = Descent(root)
    before = os.fstat(descent.root_fd)
    left, found = 0, [trash_of(run_id)]
    try:
        for path in found:  # which grows by the directories below
            below, files = _names(descent, path, with_files=with_files)
            found += below
            left += files
        for path in [*reversed(found), TRASH]:
            _remove_dir(descent, path)
        times = (before.st_atime_ns, before.st_mtime_ns)
        with suppress(PermissionError):
            os.utime(descent.root_fd, ns=times)
    except FileNotFoundError:
        return left
    finally:
        descent.close()
    return left


def _names(
    descent: Descent, path: bytes, *, with_files: bool
) -> tuple[list[bytes], int]:
    """Return the directories in one, and how many other entries stay in it."""
    dirs: list[bytes] = []
    files: list[bytes] = []
    dir_fd = reach(descent, path, make=False)
    try:
        with os.scandir(dir_fd) as entries:
            for entry in entries:
                is_dir = entry.is_dir(follow_symlinks=False)
                (dirs if is_dir else files).append(os.fsencode(entry.name))
        for name in files if with_files else []:
            os.unlink(name, dir_fd=dir_fd)
    finally:
        os.close(dir_fd)
    return [path + name + b"/" for name in dirs], 0 if with_files else len(files)


def _remove_dir(descent: Descent, path: bytes) -> None:
    above = parent_of(path)
    descent.forget(path)
    try:
        os.rmdir(path[len(above) : -1], dir_fd=open_to_write(descent, above))
    except OSError as err:
        if err.errno not in _HAS_CONTENT:
            raise
