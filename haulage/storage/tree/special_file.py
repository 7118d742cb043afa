"""Makes FIFOs, sockets and devices."""

import errno
import os
import stat

from haulage.errors import PermanentError
from haulage.model import DEVICES, Entry, Kind

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


def make_node(dir_fd: int, temp: bytes, entry: Entry, mode: int) -> None:
    """Make a special file like `entry`, but for its attributes."""
    kind = Kind(entry.kind)
    try:
        os.mknod(temp, _TYPES[kind] | mode, _number_of(entry), dir_fd=dir_fd)
    except OSError as err:
        if err.errno not in _NOT_HERE:
            raise
        raise PermanentError(
            f"a {_WORDS[kind]} cannot be made here: {err.strerror}; devices are for "
            f"root alone, and not every file system or container takes each"
        ) from err


def _number_of(entry: Entry) -> int:
    if entry.kind not in DEVICES or entry.target is None:
        return 0
    major, minor = entry.target.split(b":")
    return os.makedev(int(major), int(minor))
