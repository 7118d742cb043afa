"""Add to a tree what only some file systems can hold, each as much as this one does."""

import errno
import os
import random
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial

from tests.trees.names import LONGEST
from tests.trees.walk import opened

_SECOND = 1_000_000_000
FAR_TIMES_S = (
    -8_520_336_000,  # 1700, before the first time of ext4 and XFS
    10_413_792_000,  # 2300, after the last of a count of nanoseconds in 64 bits
    15_032_385_536,  # 2446, after the last of ext4
    32_503_680_000,  # 3000, after the last of XFS
)
_LEVELS = 18  # of 255-byte names: twice, a path is longer than PATH_MAX of 4096
_LONG_TARGETS = (1023, 1024, 4095)  # the first is XFS's longest
_FAR_DEVICES = ((511, (1 << 18) - 1), (512, 1 << 18), (4095, (1 << 20) - 1))
_ATTRIBUTE_BYTES = 900
_MOST_ATTRIBUTES = 30
_NO_ROOM = (errno.ENOSPC, errno.E2BIG, errno.ERANGE, errno.EDQUOT)
_NOT_HERE = (errno.ENAMETOOLONG, errno.EINVAL, errno.EPERM, errno.EFBIG, *_NO_ROOM)


def add_extremes(root: bytes, rng: random.Random) -> None:
    """Make a directory `extremes` in a tree, with a deep one in it."""
    home = os.path.join(root, b"extremes")
    os.mkdir(home)
    for make in (_links, _devices, _holes, _crowded, _timeless):
        make(home)
    _dig(home, rng)
    for number, time_s in enumerate(FAR_TIMES_S):
        where = os.path.join(home, b"directory-%d" % number)
        os.mkdir(where)
        os.utime(where, ns=(0, time_s * _SECOND + number))


def _timeless(home: bytes) -> None:
    """Make a file of two names, a link and a FIFO of each far time."""
    for number, time_s in enumerate(FAR_TIMES_S):
        names = [os.path.join(home, b"%s-%d" % (kind, number)) for kind in _KINDS]
        for name, make in zip(names, _KINDS.values(), strict=True):
            make(name)
            times = (0, time_s * _SECOND + 123_456_789)
            os.utime(name, ns=times, follow_symlinks=False)
        os.link(names[0], names[0] + b".other")


def _file(full: bytes) -> None:
    with open(full, "xb") as file:
        file.write(full[-9:] * 100)


_KINDS: dict[bytes, Callable[[bytes], None]] = {
    b"far-file": _file,
    b"far-link": lambda full: os.symlink(b"nowhere", full),
    b"far-fifo": os.mkfifo,
}


def _links(home: bytes) -> None:
    for length in _LONG_TARGETS:
        target = (b"t" * 254 + b"/") * 17
        full = os.path.join(home, b"link-%d" % length)
        _where_possible(partial(os.symlink, target[:length], full))


def _devices(home: bytes) -> None:
    for major, minor in _FAR_DEVICES if os.geteuid() == 0 else ():
        full = os.path.join(home, b"device-%d" % major)
        mode, device = stat.S_IFCHR | 0o600, os.makedev(major, minor)
        _where_possible(partial(os.mknod, full, mode, device))


def _holes(home: bytes) -> None:
    """Make files with a hole at each place, and one of 8 GiB."""
    for number, data in enumerate(((0,), (1 << 20,), (0, 3 << 20), ())):
        with open(os.path.join(home, b"holes-%d" % number), "xb") as file:
            for offset in data:
                file.seek(offset)
                file.write(b"data" * 1025)
            file.truncate(4 << 20)
    with open(os.path.join(home, b"holes-huge"), "xb") as file:
        _where_possible(partial(file.truncate, 1 << 33))
        file.seek(1 << 32)
        file.write(b"island")


def _crowded(home: bytes) -> None:
    """Make a file and a directory with as many attributes as they take, less one."""
    for name in (b"crowded", b"crowded-dir"):
        full = os.path.join(home, name)
        os.mkdir(full) if name.endswith(b"dir") else _file(full)
        last = ""
        for number in range(_MOST_ATTRIBUTES):
            try:
                os.setxattr(full, f"user.crowd-{number}", bytes(_ATTRIBUTE_BYTES))
            except OSError as err:
                if err.errno not in _NO_ROOM:
                    raise
                break
            last = f"user.crowd-{number}"
        os.removexattr(full, last)  # so that a day may add another


def _dig(home: bytes, rng: random.Random) -> None:
    """Make a path that no system call takes as a whole, with names at its end."""
    with ExitStack() as stack:
        fd = stack.enter_context(opened(home))
        for level in range(_LEVELS):
            name = (b"%02d" % level).ljust(LONGEST, b"d")
            os.mkdir(name, dir_fd=fd)
            fd = stack.enter_context(opened(name, fd))
        for name in ("é".encode(), "e\u0301".encode(), b"l" * LONGEST):
            new = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, dir_fd=fd)
            os.write(new, rng.randbytes(5000))
            os.setxattr(new, "user.deep", b"1")
            os.close(new)
        os.symlink(b"../" * 30, b"up", dir_fd=fd)
        os.link(name, b"twin", src_dir_fd=fd, dst_dir_fd=fd)


def shift_extremes(root: bytes, rng: random.Random) -> None:
    """Give some of what `add_extremes` made another far time, and remove some."""
    home = os.path.join(root, b"extremes")
    for full in _some(home, rng, b"far-", b"directory-"):
        if rng.random() < 0.2 and not stat.S_ISDIR(os.lstat(full).st_mode):
            os.unlink(full)
            continue
        time_ns = rng.choice(FAR_TIMES_S) * _SECOND + rng.randrange(_SECOND)
        os.utime(full, ns=(0, time_ns), follow_symlinks=False)
    for full in _some(home, rng, b"link-", b"device-"):
        if not stat.S_ISDIR(os.lstat(full).st_mode):  # as another change made it
            os.unlink(full)


def _some(home: bytes, rng: random.Random, *prefixes: bytes) -> Iterator[bytes]:
    for name in sorted(os.listdir(home)) if os.path.isdir(home) else ():
        if name.startswith(prefixes) and rng.random() < 0.3:
            yield os.path.join(home, name)


def _where_possible(act: Callable[[], object]) -> None:
    try:
        act()
    except OSError as err:
        if err.errno not in _NOT_HERE:
            raise
