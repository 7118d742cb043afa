"""The clock that sets the times of a file system's entries."""

import ctypes
import time

from haulage.storage.store import Now

_KERNEL_CLOCK = 5  # CLOCK_REALTIME_COARSE, by which the kernel stamps what changes
_TICK_NS = 10_000_000  # of that clock at most; some stamps are finer
_SECOND_NS = 1_000_000_000
_RACY_NS = 2_000_000_000  # clocks of file systems tick as coarsely as this
_SKEW_NS = 15 * 60 * 1_000_000_000
_STAMPED_BY_KERNEL = frozenset(  # f_type of statfs(2); any other may be on a server
    {
        *(0xEF53, 0x58465342, 0x9123683E, 0x01021994),  # ext4, xfs, btrfs, tmpfs
        *(0x794C7630, 0x2FC12FC1, 0xF2F52010, 0xCA451A4E),  # overlay, zfs, f2fs, bcache
        *(0x858458F6, 0x4D44, 0x2011BAB0, 0x7366746E),  # ramfs, vfat, exfat, ntfs3
        *(0x52654973, 0x3153464A, 0x3434, 0x482B),  # reiserfs, jfs, nilfs, hfs+
        *(0x9660, 0x15013346, 0x73717368, 0xE0F5E1E2),  # iso9660, udf, squashfs, erofs
    }
)
_libc = ctypes.PyDLL(None, use_errno=True)


def is_racy(mtime_ns: int, ctime_ns: int, now: Now) -> bool:
    """Tell whether a later change could look the same, so young was the file.

    `now` is the time by its file system's clock, before the file was looked at.
    """
    young_ns = now.earliest_ns - _racy_ns(mtime_ns)
    # What lies far ahead stays there.
    is_now = young_ns < mtime_ns < now.latest_ns + _racy_ns(mtime_ns)
    return is_now or ctime_ns > now.earliest_ns - _racy_ns(ctime_ns)


def _racy_ns(stamp_ns: int) -> int:
    """Return for how long a stamp could be that of another change, too.

    Some file systems keep whole seconds, or even ones alone.
    """
    return _RACY_NS if stamp_ns % _SECOND_NS else 2 * _RACY_NS


def now_at(fd: int) -> Now:
    """Return the time by the clock of the file system of `fd`.

    A file server has its own, which may differ from ours by a quarter of an hour.
    """
    now_ns = time.clock_gettime_ns(_KERNEL_CLOCK)
    if _type_of(fd) in _STAMPED_BY_KERNEL:
        return Now(now_ns, now_ns + _TICK_NS)
    return Now(now_ns - _SKEW_NS, now_ns + _SKEW_NS)


def _type_of(fd: int) -> int:
    """Return the type number of a file system; 0 if it is unknown."""
    found = (ctypes.c_ulong * 32)()  # struct statfs, of which f_type comes first
    if _libc.fstatfs(fd, found):
        return 0
    return int(found[0]) & 0xFFFFFFFF
