"""Moves what is deleted aside, inside the same root, and brings it back.

Below the root's `.haulage-trash/` each run has a directory, named after it and so after
its date, in which entries keep their paths. Nothing here goes through a symbolic link.
"""

import errno
import os
import stat
from contextlib import suppress

from haulage.model import Action, Kind, Outcome, Status, parent_of
from haulage.storage.attributes import (
    Attributes,
    attributes_of,
    set_attributes,
)
from haulage.storage.descent import Descent
from haulage.storage.posix import open_to_write

TRASH = b".haulage-trash/"  # a path and, at the root, a name; never listed
_HAS_CONTENT = frozenset({errno.ENOTEMPTY, errno.EEXIST})


def trash_of(run_id: str) -> bytes:
    """Return where a run moves aside what it deletes."""
    return TRASH + run_id.encode() + b"/"


def is_trash(name: str) -> bool:
    """Tell whether a name at a root is that of the trash."""
    return name == TRASH[:-1].decode()


def move_aside(descent: Descent, path: bytes, trash: bytes) -> Outcome:
    """Move a file or link into the trash, where it has the same path."""
    above = parent_of(path)
    name = path[len(above) :]
    aside = _reach(descent, trash + above)
    try:
        dir_fd = open_to_write(descent, above)
        os.rename(name, name, src_dir_fd=dir_fd, dst_dir_fd=aside)
    except OSError as err:
        if err.errno == errno.EXDEV:
            return Outcome(
                Status.KEPT, reason="is on another file system than the trash"
            )
        raise
    finally:
        os.close(aside)
    return Outcome(Status.DELETED)


def note_dir(descent: Descent, action: Action, trash: bytes) -> None:
    """Make a removed directory's counterpart in the trash, with its attributes."""
    aside = _reach(descent, trash + action.path)
    try:
        mtime_ns = action.mtime_since_epoch_ns
        set_attributes(
            aside,
            Attributes(action.mode, action.uid, action.gid, mtime_ns, mtime_ns),
        )
    finally:
        os.close(aside)


def bring_back(descent: Descent, action: Action, trash: bytes) -> Outcome:
    """Move an entry back from the trash; what stands at its path by now is kept."""
    try:
        if action.kind == Kind.DIR:
            return _bring_dir_back(descent, action.path, trash)
        return _bring_file_back(descent, action.path, trash)
    except NotADirectoryError:
        return Outcome(Status.BLOCKED, reason="something else stands above it now")


def _bring_file_back(descent: Descent, path: bytes, trash: bytes) -> Outcome:
    above = parent_of(path)
    name = path[len(above) :]
    target = _reach(descent, above)
    try:
        aside = open_to_write(descent, trash + above)
        # A rename would replace what stands there; a second name never does.
        os.link(name, name, src_dir_fd=aside, dst_dir_fd=target, follow_symlinks=False)
        os.unlink(name, dir_fd=aside)
    except FileNotFoundError:
        return Outcome(Status.VANISHED, reason="is not in the trash any more")
    except FileExistsError:
        if not _is_same(name, aside, target):
            return Outcome(Status.BLOCKED, reason="something stands at its path now")
        os.unlink(name, dir_fd=aside)  # another attempt ended between the two calls
    finally:
        os.close(target)
    return Outcome(Status.RESTORED)


def _is_same(name: bytes, one_fd: int, other_fd: int) -> bool:
    one = os.stat(name, dir_fd=one_fd, follow_symlinks=False)
    return os.path.samestat(one, os.stat(name, dir_fd=other_fd, follow_symlinks=False))


def _bring_dir_back(descent: Descent, path: bytes, trash: bytes) -> Outcome:
    """Give a directory, in which all is back, its attributes."""
    target = _reach(descent, path)
    try:
        found = os.fstat(descent.open(trash + path))
        set_attributes(target, attributes_of(found))
    except FileNotFoundError:
        return Outcome(Status.VANISHED, reason="is not in the trash any more")
    finally:
        os.close(target)
    _remove_dir(descent, trash + path)
    return Outcome(Status.RESTORED)


def _remove_dir(descent: Descent, path: bytes) -> None:
    above = parent_of(path)
    descent.forget(path)
    try:
        os.rmdir(path[len(above) : -1], dir_fd=open_to_write(descent, above))
    except OSError as err:
        if err.errno not in _HAS_CONTENT:
            raise


def _reach(descent: Descent, path: bytes) -> int:
    """Return a descriptor of a directory, made where it misses; to be closed."""
    try:
        return os.dup(open_to_write(descent, path))
    except FileNotFoundError:
        pass
    at = path.find(b"/")
    while at >= 0:
        _open_or_make(descent, path[: at + 1])
        at = path.find(b"/", at + 1)
    return os.dup(descent.open(path))


def _open_or_make(descent: Descent, path: bytes) -> None:
    try:
        descent.open(path)
    except FileNotFoundError:
        above = parent_of(path)
        with suppress(FileExistsError):
            dir_fd = open_to_write(descent, above)
            os.mkdir(path[len(above) : -1], 0o700, dir_fd=dir_fd)


def empty(root: str, run_id: str) -> None:
    """Remove for good what a run moved aside; what is gone already is no error."""
    descent = Descent(root)
    try:
        _remove_tree(descent, trash_of(run_id))
        _remove_dir(descent, TRASH)
    except FileNotFoundError:
        return
    finally:
        descent.close()


def _remove_tree(descent: Descent, path: bytes) -> None:
    """Remove a directory and all below it, however deep."""
    stack = [path]
    while stack:
        dir_fd = open_to_write(descent, stack[-1])
        below = []
        for name in map(os.fsencode, os.listdir(dir_fd)):
            found = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
            if stat.S_ISDIR(found.st_mode):
                below.append(stack[-1] + name + b"/")
            else:
                os.unlink(name, dir_fd=dir_fd)
        if not below:
            _remove_dir(descent, stack.pop())
        stack += below
