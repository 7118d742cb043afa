"""What is set on an entry after its content: owner, mode and times, in this order."""

import os
import stat
from typing import NamedTuple

from haulage.model import Entry

_SPECIAL_BITS = stat.S_ISUID | stat.S_ISGID


class Attributes(NamedTuple):
    """What is set on an entry after its content; one is made for every file."""

    mode: int
    uid: int
    gid: int
    atime_ns: int
    mtime_ns: int


def attributes_of(found: os.stat_result) -> Attributes:
    """Return the attributes that `found` carries."""
    mode = stat.S_IMODE(found.st_mode)
    return Attributes(
        mode, found.st_uid, found.st_gid, found.st_atime_ns, found.st_mtime_ns
    )


def set_attributes(handle: int | bytes, wanted: Attributes) -> str | None:
    """Set owner, mode and times by descriptor (or its name in /proc), in this order.

    Return None, or in words what this user may not keep; set-id bits go with the owner.
    """
    lost = _set_owner(handle, wanted.uid, wanted.gid)
    os.chmod(handle, wanted.mode & ~_SPECIAL_BITS if lost else wanted.mode)
    os.utime(handle, ns=(wanted.atime_ns, wanted.mtime_ns))
    return lost


def _set_owner(handle: int | bytes, uid: int, gid: int) -> str | None:
    try:
        os.chown(handle, uid, gid)
    except PermissionError:
        now = os.stat(handle)
        if (now.st_uid, now.st_gid) == (uid, gid):
            return None
        return f"owner {uid}:{gid} not kept: this user may not give files away"
    return None


def attributes_in(entry: Entry) -> Attributes:
    """Return the attributes that `entry` has; its atime is its mtime."""
    mtime_ns = entry.mtime_s * 1_000_000_000 + entry.mtime_ns
    return Attributes(entry.mode, entry.uid, entry.gid, mtime_ns, mtime_ns)


def set_link_attributes(dir_fd: int, temp: bytes, wanted: Attributes) -> str | None:
    """Set owner and times of a symbolic link; return what this user may not keep."""
    lost = None
    try:
        os.chown(temp, wanted.uid, wanted.gid, dir_fd=dir_fd, follow_symlinks=False)
    except PermissionError:
        now = os.stat(temp, dir_fd=dir_fd, follow_symlinks=False)
        if (now.st_uid, now.st_gid) != (wanted.uid, wanted.gid):
            lost = f"owner {wanted.uid}:{wanted.gid} not kept"
    times = (wanted.atime_ns, wanted.mtime_ns)
    os.utime(temp, ns=times, dir_fd=dir_fd, follow_symlinks=False)
    return lost
