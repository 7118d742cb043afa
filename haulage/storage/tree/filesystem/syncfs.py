"""Force a file system's written data to disk."""

import ctypes
import os

from haulage.errors import sort_os_error

_libc = ctypes.CDLL(None, use_errno=True)


def sync_file_system(root: str) -> None:
    """Return when all data written to the file system of `root` is on disk."""
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if _libc.syncfs(fd) != 0:
            number = ctypes.get_errno()
            raise sort_os_error(OSError(number, os.strerror(number)), f"syncfs {root}")
    finally:
        os.close(fd)
