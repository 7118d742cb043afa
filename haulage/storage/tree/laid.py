"""Makes temporaries that have their layout on a Lustre before their first byte.

A file that mknod made has no layout until somebody opens it for writing.
"""

import os
import stat

from haulage.model import Loss, Lost
from haulage.storage.tree.lfs import LfsError, layout_of, set_layout
from haulage.storage.tree.posix import remove_if_there
from haulage.striping import Layout

_OPEN = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC


def create_laid(
    dir_fd: int, temp: bytes, wanted: Layout, mode: int = 0o600
) -> tuple[int, Lost | None]:
    """Create a temporary for writing; tell what of its layout it could not get."""
    os.mknod(temp, stat.S_IFREG | mode, dir_fd=dir_fd)
    said = _set(dir_fd, temp, wanted) if wanted.components else ""
    if said and wanted.without_pools() != wanted:
        _set(dir_fd, temp, wanted.without_pools())
    lost = missing(dir_fd, temp, wanted, said)
    return os.open(temp, _OPEN, dir_fd=dir_fd), lost


def open_laid(dir_fd: int, temp: bytes) -> int:
    """Open a temporary that another mover made; FileNotFoundError if none has."""
    return os.open(temp, _OPEN, dir_fd=dir_fd)


def create_shared(
    dir_fd: int, temp: bytes, own: bytes, wanted: Layout, mode: int = 0o600
) -> tuple[int, bool]:
    """Return the temporary that movers share, and whether it is new.

    It is made as `own`, so that it has its name only with its layout.
    """
    try:
        fd, _ = create_laid(dir_fd, own, wanted, mode)
        os.close(fd)
        os.link(own, temp, src_dir_fd=dir_fd, dst_dir_fd=dir_fd, follow_symlinks=False)
        is_new = True
    except FileExistsError:  # another mover was first
        is_new = False
    finally:
        remove_if_there(dir_fd, own)
    return open_laid(dir_fd, temp), is_new


def _set(dir_fd: int, temp: bytes, layout: Layout) -> str:
    """Set a layout; return what `lfs` said if it did not."""
    try:
        set_layout(dir_fd, temp, layout)
    except LfsError as err:
        return str(err)
    return ""


def missing(dir_fd: int, name: bytes, wanted: Layout, said: str = "") -> Lost | None:
    """Tell what a file has not got of the layout that it was to have."""
    try:
        has = layout_of(dir_fd, name)
    except LfsError as err:
        return lost_layout(str(err))
    if wanted.components and not wanted.is_met_by(has):
        why = f" ({said})" if said else ""
        return lost_layout(f"it is {has} instead of {wanted}{why}")
    return lost_layout(f"it has {wanted.beyond}") if wanted.beyond else None


def lost_layout(words: str) -> Lost:
    """Return the loss that `words` explain."""
    return Lost(Loss.LAYOUT, f"layout not kept: {words}")
