"""Begins a file on a Lustre with the layout that its size asks for."""

import os
import stat

from haulage.errors import VanishedError
from haulage.model import Action, Loss, Lost, parent_of
from haulage.ops.work import Work
from haulage.storage.tree.lfs import LfsError, layout_of, set_layout
from haulage.storage.tree.posix import create, remove_if_there
from haulage.striping import Layout

_OPEN = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC


def begin(
    work: Work, action: Action, size: int, dir_fd: int, temp: bytes
) -> tuple[int, Lost | None]:
    """Create a temporary for writing; tell what of its layout it could not get.

    A file that mknod made has no layout until somebody opens it for writing.
    """
    if work.rules is None or work.rules.of_file(size) is None:
        return create(dir_fd, temp, mode=work.kept.new_mode), None
    os.mknod(temp, stat.S_IFREG | work.kept.new_mode, dir_fd=dir_fd)
    lost = _lay(work, action, size, dir_fd, temp)
    return os.open(temp, _OPEN, dir_fd=dir_fd), lost


def begin_shared(work: Work, action: Action, row: int, dir_fd: int, temp: bytes) -> int:
    """Open the temporary of a split file; it has its name only with its layout."""
    if work.rules is None or work.rules.of_file(action.size) is None:
        return create(dir_fd, temp, shared=True, mode=work.kept.new_mode)
    try:
        return os.open(temp, _OPEN, dir_fd=dir_fd)
    except FileNotFoundError:
        own = work.temp_prefix + b"%d" % row
    try:
        fd, _ = begin(work, action, action.size, dir_fd, own)
        os.close(fd)
        os.link(own, temp, src_dir_fd=dir_fd, dst_dir_fd=dir_fd, follow_symlinks=False)
    except FileExistsError:  # another mover was first
        pass
    finally:
        remove_if_there(dir_fd, own)
    return os.open(temp, _OPEN, dir_fd=dir_fd)


def lost_layout(work: Work, whole: Action, dir_fd: int, name: bytes) -> Lost | None:
    """Tell what a split file, made by several movers, has not got of its layout."""
    if work.rules is None or work.rules.of_file(whole.size) is None:
        return None
    try:
        wanted = _wanted(work, whole, whole.size)
        return _missing(wanted, layout_of(dir_fd, name), "")
    except LfsError as err:
        return _lost(str(err))


def _lay(
    work: Work, action: Action, size: int, dir_fd: int, temp: bytes
) -> Lost | None:
    """Give an unopened file its layout; without pools, if they are not known here."""
    try:
        wanted = _wanted(work, action, size)
        said = _set(dir_fd, temp, wanted) if wanted.components else ""
        if said and wanted.without_pools() != wanted:
            _set(dir_fd, temp, wanted.without_pools())
        return _missing(wanted, layout_of(dir_fd, temp), said)
    except LfsError as err:
        return _lost(str(err))


def _wanted(work: Work, action: Action, size: int) -> Layout:
    assert work.rules
    rule = work.rules.of_file(size)
    assert rule
    if rule.layout is not None:
        return rule.layout
    above = parent_of(action.path)
    try:
        return layout_of(work.source.open(above), action.path[len(above) :])
    except (FileNotFoundError, NotADirectoryError) as err:
        raise VanishedError("is gone since it was listed") from err


def _set(dir_fd: int, temp: bytes, layout: Layout) -> str:
    """Set a layout; return what `lfs` said if it did not."""
    try:
        set_layout(dir_fd, temp, layout)
    except LfsError as err:
        return str(err)
    return ""


def _missing(wanted: Layout, has: Layout, said: str) -> Lost | None:
    if wanted.components and not wanted.is_met_by(has):
        why = f" ({said})" if said else ""
        return _lost(f"it is {has} instead of {wanted}{why}")
    return _lost(f"it has {wanted.beyond}") if wanted.beyond else None


def _lost(words: str) -> Lost:
    return Lost(Loss.LAYOUT, f"layout not kept: {words}")
