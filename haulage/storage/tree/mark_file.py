"""The mark in a target's root, by which Haulage recognises the target.

Each dataset has its own. No lister sees it, and nothing ever deletes it.
"""

import os
from contextlib import suppress

from haulage.storage.tree.files import opened_directory
from haulage.storage.tree.ours import MARK

_BLOCK = 4096  # so much is written at once, or not at all
_MOST = 1 << 20


def name_of_mark(dataset: str) -> str:
    """Return the name of a dataset's mark."""
    return MARK.decode() + dataset


def padded(content: bytes) -> bytes:
    """Return a mark's content in whole blocks, which overwrite a longer one."""
    return content.ljust(-(-len(content) // _BLOCK) * _BLOCK)


def read_mark(root: str, dataset: str) -> bytes | None:
    """Return a mark's content; None if there is none. OSError if it is unreadable."""
    with opened_directory(root) as dir_fd:
        try:
            fd = os.open(name_of_mark(dataset), _READ, dir_fd=dir_fd)
        except FileNotFoundError:
            return None
        try:
            return os.pread(fd, _MOST, 0)
        finally:
            os.close(fd)


def write_mark(root: str, dataset: str, content: bytes, *, fsync: bool) -> None:
    """Create the mark, or overwrite it in place: the root keeps its times."""
    with opened_directory(root) as dir_fd:
        before = os.fstat(dir_fd)
        fd = os.open(name_of_mark(dataset), _WRITE, 0o600, dir_fd=dir_fd)
        try:
            os.pwrite(fd, padded(content), 0)
            os.ftruncate(fd, len(padded(content)))
            if fsync:
                os.fsync(fd)
        finally:
            os.close(fd)
        with suppress(PermissionError):  # another's directory, whose times are not ours
            os.utime(dir_fd, ns=(before.st_atime_ns, before.st_mtime_ns))


_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
