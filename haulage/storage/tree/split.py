"""The temporary of a large file that movers share, and the record of what it holds.

What is noted of a range is on the disk, and was read back from there where it has a
checksum, so that a power cut takes nothing of it. The record of a temporary that is
gone is void.
"""

import os
import secrets
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from haulage.errors import UnstableError
from haulage.place import part_bytes
from haulage.storage.checksums import Checksum
from haulage.storage.read_back import Written, check
from haulage.storage.resumable import Done, Ranges
from haulage.storage.store import Extent
from haulage.storage.tree.files import stood_still
from haulage.storage.tree.kernel.copying import (
    Kernel,
    Range,
    copy_part,
    feed,
    forget_cached,
)

CHANGED = "changed while its parts were copied"
GONE = "its parts are gone; it is copied again"
_MISSING = "not all of its parts arrived; it is copied again"
_STRETCH_BYTES = 1 << 30  # are copied before they are read back and noted


class Source(NamedTuple):
    """The file that a part is copied from, as it was when it was opened."""

    fd: int
    before: os.stat_result


def join(ranges: Ranges, fd: int, *, is_void: bool) -> None:
    """Claim the record for a temporary; it starts over if it is of another one.

    Inode numbers are reused: of one that was just made, an earlier record `is_void`.
    A file system has another device number on every machine.
    """
    inode = os.fstat(fd).st_ino
    if _claimed(ranges, inode) != inode or is_void:
        ranges.forget()
        if _claimed(ranges, inode) != inode:
            raise UnstableError("its temporary was replaced by another mover")


def _claimed(ranges: Ranges, inode: int) -> int:
    made = ranges.claim(lambda: f"{inode}-{secrets.token_hex(6)}", lambda _: None)
    return _inode_in(made)


def _inode_in(made: str) -> int:
    return int(made.partition("-")[0])


def fill(
    kernel: Kernel, source: Source, target: int, ranges: Ranges, part: Extent
) -> int:
    """Copy what is not noted of a part; return the bytes, without holes."""
    done, size, before = ranges.done(), source.before.st_size, kernel.moved
    if os.fstat(target).st_size != size:
        kernel.check()
        os.ftruncate(target, size)  # a hole at the end is not written
    for stretch in _stretches(size, part):
        if not done.keys() >= set(stretch):
            digests = _copied(kernel, source, target, stretch)
            ranges.note_all(stretch.start, stretch.step, digests)
    return kernel.moved - before


def _stretches(size: int, part: Extent) -> Iterator[range]:
    """Cut a part into stretches; each is where its ranges begin, up to its end."""
    step = part_bytes(size)
    length = max(1, _STRETCH_BYTES // step) * step
    end = part.offset + part.length
    for start in range(part.offset, end, length):
        yield range(start, min(start + length, end), step)


def _copied(kernel: Kernel, source: Source, target: int, stretch: range) -> list[bytes]:
    """Copy a stretch and prove it; return the xxh3-128 of each of its ranges.

    They are empty where the kernel copied.
    """
    wanted = Range(stretch.start, stretch.stop)
    copied, digests = copy_part(kernel, source.fd, target, wanted, source.before)
    is_whole = copied == wanted.end - wanted.start
    if not (is_whole and stood_still(source.before, os.fstat(source.fd))):
        raise UnstableError("changed while it was copied")
    if digests is None:
        os.fdatasync(target)
        return [b""] * len(stretch)
    _prove(kernel, target, source.before.st_size, stretch, digests)
    return digests


def _prove(
    kernel: Kernel, target: int, size: int, stretch: range, digests: list[bytes]
) -> None:
    """Read a stretch back at once: looking for holes takes time in some trees."""
    found, length = Checksum(size), stretch.stop - stretch.start
    moved = kernel.moved
    with synced(target, stretch.start, length) as fd:
        feed(kernel, found, fd, stretch.start, length)
    kernel.moved = moved  # what is read back is not moved once more
    read = found.digests()
    read += [b""] * (len(digests) - len(read))  # of a file that somebody cut
    ends = [*stretch[1:], stretch.stop]
    for start, end, was, now in zip(stretch, ends, digests, read, strict=True):
        check(Written(start, end - start, was), now, "written")


@contextmanager
def synced(fd: int, offset: int, length: int) -> Iterator[int]:
    """Yield a descriptor that reads from the disk what was written to another one."""
    os.fdatasync(fd)  # the kernel forgets only what the disk has
    reading = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        forget_cached(reading, offset, length)
        yield reading
    finally:
        os.close(reading)


def check_complete(done: Mapping[int, Done], size: int) -> None:
    """Raise UnstableError unless every range was noted."""
    if sorted(done) != list(range(0, size, part_bytes(size))):
        raise UnstableError(_MISSING)


def open_complete(
    dir_fd: int, names: Iterable[bytes], ranges: Ranges, size: int
) -> tuple[int, bytes]:
    """Open what all parts were written to, and tell by which of its names.

    The first is the temporary's. An attempt may have renamed it and died before it
    could say so: its inode tells it from an old file which looks the same.
    """
    made = ranges.id or ""
    for name in names if made else ():
        try:
            found = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
        except FileNotFoundError:
            continue
        is_it = (found.st_ino, found.st_size) == (_inode_in(made), size)
        if is_it and stat.S_ISREG(found.st_mode):
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
            return os.open(name, flags, dir_fd=dir_fd), name
    raise UnstableError(GONE)
