"""Draw modes, owners and times, and give them to an entry."""

import os
import random
import struct
from enum import Enum

_SECOND = 1_000_000_000
_DAY = 86_400 * _SECOND

EDGE_TIMES_NS = (
    0,
    1,
    _SECOND - 1,
    -1,
    -_SECOND // 2,
    -_SECOND,
    -10_000 * _DAY + 123_456_789,
    (2**31 - 1) * _SECOND + 999_999_999,
    2**31 * _SECOND,
    (2**32 - 1) * _SECOND + 999_999_999,
    2**32 * _SECOND + 1,
    1_500_000_000 * _SECOND + 999_999_999,
    1_500_000_000 * _SECOND,
)
EDGE_OWNERS = (1, 1000, 65_534, 65_536, 2**31 - 1, 2**31, 2**32 - 2)
_SPECIAL_BITS = (0o4000, 0o2000, 0o1000, 0o6000, 0o7000)


# cap_net_bind_service, effective and permitted, as version 2
CAPABILITY = struct.pack("<5I", 0x02000001, 1 << 10, 0, 0, 0)


def acl(mode: int, uid: int) -> bytes:
    """Return an ACL that lets `uid` read, as the kernel takes it; its mask is the
    group's bits of `mode`, so that it does not change the mode."""
    entries = [
        (0x01, mode >> 6 & 7, 2**32 - 1),
        (0x02, 4, uid),
        (0x04, 5, 2**32 - 1),
        (0x10, mode >> 3 & 7, 2**32 - 1),
        (0x20, mode & 7, 2**32 - 1),
    ]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *e) for e in entries)


class Kind(Enum):
    """What an entry is, as far as its attributes depend on it."""

    FILE = "file"
    DIR = "dir"
    SYMLINK = "symlink"
    FIFO = "fifo"


class Attributes:
    """Dresses entries by chance: everything that `nasty` allows, or office clothes."""

    def __init__(
        self, rng: random.Random, *, nasty: bool, extras: bool = False
    ) -> None:
        """Draw from `rng`; owners and set-id bits only when running as root. `extras`
        are extended attributes, ACLs and capabilities."""
        self.extras = extras
        self._rng = rng
        self._nasty = nasty
        self.as_root = os.geteuid() == 0

    def dress(self, name: bytes, kind: Kind, dir_fd: int | None = None) -> None:
        """Set owner, mode and times, in this order: a chown clears set-id bits, and
        nothing but the content moves an mtime afterwards."""
        uid, gid = self.owner()
        mode, mtime_ns = self.mode(kind), self.mtime_ns()
        if self.as_root:
            os.chown(name, uid, gid, dir_fd=dir_fd, follow_symlinks=False)
        if kind is not Kind.SYMLINK:
            os.chmod(name, mode, dir_fd=dir_fd)
        if self.extras:
            above = b"." if dir_fd is None else b"/proc/self/fd/%d" % dir_fd
            self._dress_up(os.path.join(above, name), kind, mode)
        atime_ns = 1_600_000_000 * _SECOND
        times = (atime_ns, mtime_ns)
        os.utime(name, ns=times, dir_fd=dir_fd, follow_symlinks=False)

    def _dress_up(self, path: bytes, kind: Kind, mode: int) -> None:
        """Give an entry attributes that its name alone decides."""
        rng = random.Random(os.path.basename(path))
        if kind in (Kind.FILE, Kind.DIR) and (self.as_root or mode & 0o200):
            for number in range(rng.choice((0, 0, 0, 1, 3))):
                value = rng.randbytes(rng.choice((0, 1, 20, 100)))
                os.setxattr(path, b"user.a\xff%d" % number, value)
            self._grant(path, kind, mode, rng)
        if self.as_root and rng.random() < 0.2:
            os.setxattr(path, "trusted.t", rng.randbytes(9), follow_symlinks=False)
        if self.as_root and kind is Kind.FILE and rng.random() < 0.1:
            os.setxattr(path, "security.capability", CAPABILITY)

    def _grant(self, path: bytes, kind: Kind, mode: int, rng: random.Random) -> None:
        if rng.random() < 0.2:
            os.setxattr(
                path, "system.posix_acl_access", acl(mode, rng.randrange(2**31))
            )
        if kind is Kind.DIR and rng.random() < 0.2:
            os.setxattr(path, "system.posix_acl_default", acl(0o751, 4_000_000_000))

    def mode(self, kind: Kind) -> int:
        """Return permission bits that let the owner read, and search a directory."""
        if not self._nasty:
            usual = (0o755,) if kind is Kind.DIR else (0o644, 0o600, 0o755)
            return self._rng.choice(usual)
        mode = self._rng.randint(0o400, 0o777)
        special = self._rng.random() < 0.1
        if special and self.as_root:
            mode |= self._rng.choice(_SPECIAL_BITS)
        return mode | 0o500 if kind is Kind.DIR and not self.as_root else mode

    def owner(self) -> tuple[int, int]:
        """Return a uid and a gid, one time in two our own ones."""
        if not self._nasty or self._rng.random() < 0.5:
            return os.geteuid(), os.getegid()
        return self._some_id(), self._some_id()

    def _some_id(self) -> int:
        if self._rng.random() < 0.5:
            return self._rng.choice(EDGE_OWNERS)
        return self._rng.randrange(2**32 - 1)

    def mtime_ns(self) -> int:
        """Return a time in 1990..2024 to the nanosecond, or one at an edge."""
        if self._nasty and self._rng.random() < 0.3:
            return self._rng.choice(EDGE_TIMES_NS)
        return self._rng.randrange(7_305 * _DAY, 20_000 * _DAY)
