"""Make temporaries on Lustre that have their layout before their first byte.

A file made by mknod has no layout until it is opened for writing.
"""

import os
import stat

from haulage.config.striping import Layout
from haulage.errors import UnstableError
from haulage.model import Loss, Lost
from haulage.storage.tree.files import pin_in, remove_if_there
from haulage.storage.tree.lustre.lfs import LfsError, layout_of, set_layout

_OPEN = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC


def create_laid(
    dir_fd: int, temp: bytes, wanted: Layout, mode: int = 0o600
) -> tuple[int, Lost | None]:
    """Create a temporary for writing; return what of its layout is lost."""
    os.mknod(temp, stat.S_IFREG | mode, dir_fd=dir_fd)
    pinned = pin_in(dir_fd, temp)
    try:
        _check_new(pinned)
        said = _set(dir_fd, pinned, wanted) if wanted.components else ""
        if said and wanted.without_pools() != wanted:
            _set(dir_fd, pinned, wanted.without_pools())
        lost = missing(dir_fd, temp, wanted, said)
        return os.open(b"/proc/self/fd/%d" % pinned, os.O_WRONLY | os.O_CLOEXEC), lost
    finally:
        os.close(pinned)


def _check_new(pinned: int) -> None:
    found = os.fstat(pinned)
    if not stat.S_ISREG(found.st_mode) or found.st_size or found.st_nlink != 1:
        raise UnstableError("its temporary was replaced by somebody else")


def open_laid(dir_fd: int, temp: bytes) -> int:
    """Open a temporary that another mover made; FileNotFoundError if none has."""
    return os.open(temp, _OPEN, dir_fd=dir_fd)


def create_shared(
    dir_fd: int, temp: bytes, own: bytes, wanted: Layout, mode: int = 0o600
) -> tuple[int, bool]:
    """Return the temporary that movers share, and whether it is new.

    It is made as `own`, so that it gets its name only with its layout.
    """
    try:
        fd, _ = create_laid(dir_fd, own, wanted, mode)
        try:
            os.link(b"/proc/self/fd/%d" % fd, temp, dst_dir_fd=dir_fd)
        except FileExistsError:  # another mover was first
            os.close(fd)
            return open_laid(dir_fd, temp), False
        except BaseException:
            os.close(fd)
            raise
        return fd, True
    finally:
        remove_if_there(dir_fd, own)


def _set(dir_fd: int, pinned: int, layout: Layout) -> str:
    """Set a layout; return the message of `lfs` if that failed."""
    try:
        set_layout(dir_fd, pinned, layout)
    except LfsError as err:
        return str(err)
    return ""


def missing(dir_fd: int, name: bytes, wanted: Layout, said: str = "") -> Lost | None:
    """Return what a file lacks of its requested layout."""
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
