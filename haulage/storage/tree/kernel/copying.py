"""Read, hash and copy the bytes of files by descriptors; the kernel may copy.

For two trees it is what a server-side copy is for two buckets.
"""

import errno
import fcntl
import heapq
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import xxhash

from haulage.storage.checksums import Checksum
from haulage.storage.tree.kernel.sparse import data_spans, is_hashed, is_sparse

SMALL_BYTES = 1 << 20  # up to here a file is read in one call
_FICLONE = 0x40049409
# Below this, a plain copy is as fast and leaves no shared extent.
_CLONE_FROM_BYTES = 128 << 10
_KERNEL_COPY_BYTES = 64 << 20  # a call's length, so that a cancel is noticed
_NOT_HERE = frozenset(
    {errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.ENOTTY}
)


@dataclass(slots=True)
class Kernel:
    """The method and buffer for copying bytes between files, and a count; one thread's.

    `check` raises when the attempt must stop; it is called inside long copies. With
    `hashing` content must pass through this process, for its checksum; otherwise the
    kernel may copy it. With `sparse` holes stay holes.
    """

    check: Callable[[], None]
    hashing: bool
    sparse: bool
    can_clone: bool = True
    moved: int = 0
    buffer: memoryview = field(
        default_factory=lambda: memoryview(bytearray(SMALL_BYTES + 4096))
    )


def copy_content(
    kernel: Kernel, source: int, target: int, found: os.stat_result
) -> tuple[int, bytes | None]:
    """Copy a file from the start; return its number of bytes, and their checksum.

    A count that differs from the size in `found` means that the source was not as its
    stat said. The checksum is None if the kernel copied, and for a file with huge
    holes.
    """
    size, sparse = found.st_size, is_sparse(found) and kernel.sparse
    can_clone = kernel.can_clone and (sparse or not is_sparse(found))
    if size <= SMALL_BYTES and not sparse:
        return _copy_small(kernel, source, target)
    if can_clone and size >= _CLONE_FROM_BYTES and _clone(kernel, source, target):
        kernel.moved += min(size, found.st_blocks * 512)
        return size, None
    whole = Range(0, size)
    if sparse:
        os.ftruncate(target, size)
        copied, checksum = _copy_sparse(kernel, source, target, whole, found)
    else:
        copied, checksum = _copy_range(kernel, source, target, whole, found)
    return copied, checksum.digest() if checksum else None


class Range(NamedTuple):
    """Bytes of a file, from one offset to another."""

    start: int
    end: int


def copy_part(
    kernel: Kernel, source: int, target: int, part: Range, found: os.stat_result
) -> tuple[int, list[bytes] | None]:
    """Copy a part; return its number of bytes, and the xxh3-128 of each of its ranges.

    They are None where `copy_content` has no checksum. An earlier attempt may have
    filled the temporary.
    """
    if is_sparse(found) and kernel.sparse:
        _clear(kernel, target, part)
        copied, checksum = _copy_sparse(kernel, source, target, part, found)
    else:
        copied, checksum = _copy_range(kernel, source, target, part, found)
    return copied, checksum.digests() if checksum else None


def _copy_sparse(
    kernel: Kernel, source: int, target: int, part: Range, found: os.stat_result
) -> tuple[int, Checksum | None]:
    """Copy only data, into a target without any content.

    A file with huge holes is not hashed.
    """
    hashed = is_hashed(found) and kernel.hashing
    checksum = Checksum(found.st_size) if hashed else None
    at = part.start
    for data, end in data_spans(source, *part):
        if checksum:
            _feed_zeros(kernel, checksum, data - at)
        got = _copy_stretch(kernel, source, target, Range(data, end), checksum)
        if got < end - data:
            return data + got - part.start, None
        at = end
    if checksum:
        _feed_zeros(kernel, checksum, part.end - at)
    return part.end - part.start, checksum


def _copy_stretch(
    kernel: Kernel,
    source: int,
    target: int,
    stretch: Range,
    checksum: Checksum | None,
) -> int:
    start, end = stretch
    if not kernel.hashing:
        copied = _kernel_copy(kernel, source, target, start, end - start)
        if copied is not None:
            return copied
    return _copy_through(kernel, source, target, stretch, checksum)


def _clear(kernel: Kernel, target: int, part: Range) -> None:
    """Zero what another version of the file left in a shared temporary."""
    size = os.fstat(target).st_size
    for start, end in data_spans(target, part.start, min(part.end, size)):
        for at in range(start, end, SMALL_BYTES):
            kernel.check()
            _write_all(target, _ZEROS[: end - at], at)


def _copy_small(kernel: Kernel, source: int, target: int) -> tuple[int, bytes]:
    """Copy a file in one read; the buffer has room for one that has grown."""
    length = os.readv(source, [kernel.buffer])
    content = kernel.buffer[:length]
    written = os.write(target, content)
    while written < length:
        written += os.write(target, content[written:])
    kernel.moved += length
    return length, xxhash.xxh3_128_digest(content)


def _clone(kernel: Kernel, source: int, target: int) -> bool:
    """Share the source's extents, if the file system can."""
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError as err:
        if err.errno not in _NOT_HERE:
            raise
        kernel.can_clone = False
        return False
    return True


def _copy_range(
    kernel: Kernel, source: int, target: int, part: Range, found: os.stat_result
) -> tuple[int, Checksum | None]:
    """Copy a byte range to the same place; only the kernel may leave holes."""
    if not kernel.hashing and kernel.sparse:
        length = part.end - part.start
        copied = _kernel_copy(kernel, source, target, part.start, length)
        if copied is not None:
            return copied, None
    checksum = Checksum(found.st_size)
    return _copy_through(kernel, source, target, part, checksum), checksum


def _copy_through(
    kernel: Kernel, source: int, target: int, stretch: Range, checksum: Checksum | None
) -> int:
    """Copy through the buffer; return the number of bytes."""
    start, end = stretch
    at = start
    while at < end:
        kernel.check()
        got = os.preadv(source, [kernel.buffer[: min(SMALL_BYTES, end - at)]], at)
        if not got:
            break
        chunk = kernel.buffer[:got]
        if checksum:
            checksum.update(chunk)
        _write_all(target, chunk, at)
        at += got
        kernel.moved += got
    return at - start


def _write_all(target: int, chunk: memoryview, at: int) -> None:
    done = 0
    while done < len(chunk):
        done += os.pwrite(target, chunk[done:], at + done)


def _kernel_copy(
    kernel: Kernel, source: int, target: int, offset: int, length: int
) -> int | None:
    """Let the kernel copy; None when it cannot between these two files."""
    done = 0
    while done < length:
        kernel.check()
        step = min(_KERNEL_COPY_BYTES, length - done)
        try:
            got = os.copy_file_range(source, target, step, offset + done, offset + done)
        except OSError as err:
            if done or err.errno not in _NOT_HERE:
                raise
            return None
        if not got:
            break
        done += got
        kernel.moved += got
    return done


class Hash(Protocol):
    """What bytes are added to, in order."""

    def update(self, content: memoryview, /) -> object:
        """Add what comes next."""


def feed(
    kernel: Kernel, digest: Hash, fd: int, offset: int = 0, length: int | None = None
) -> None:
    """Add a file's bytes, or those of a range, to a checksum; holes are not read."""
    found = os.fstat(fd)
    if not is_sparse(found):
        _feed_data(kernel, digest, fd, offset, length)
        return
    at, end = offset, found.st_size if length is None else offset + length
    for data, after in data_spans(fd, at, end):
        _feed_zeros(kernel, digest, data - at)
        _feed_data(kernel, digest, fd, data, after - data)
        at = after
    _feed_zeros(kernel, digest, min(end, found.st_size) - at)


def _feed_data(
    kernel: Kernel, digest: Hash, fd: int, offset: int, length: int | None
) -> None:
    at = offset
    while length is None or at < offset + length:
        kernel.check()
        step = SMALL_BYTES if length is None else min(SMALL_BYTES, offset + length - at)
        got = os.preadv(fd, [kernel.buffer[:step]], at)
        if not got:
            break
        digest.update(kernel.buffer[:got])
        at += got
        kernel.moved += got


_ZEROS = memoryview(bytes(SMALL_BYTES))


def _feed_zeros(kernel: Kernel, digest: Hash, length: int) -> None:
    while length > 0:
        kernel.check()
        zeros = _ZEROS[:length]
        digest.update(zeros)
        length -= len(zeros)


def is_same_data(kernel: Kernel, one: int, other: int) -> bool:
    """Tell whether two files have equal bytes, reading only where either has data."""
    size = os.fstat(one).st_size
    if os.fstat(other).st_size != size:
        return False
    at = 0
    for start, end in heapq.merge(data_spans(one, 0, size), data_spans(other, 0, size)):
        at = max(at, start)
        while at < end:
            kernel.check()
            step = min(SMALL_BYTES, end - at)
            if os.pread(one, step, at) != os.pread(other, step, at):
                return False
            at += step
            kernel.moved += step
    return True


def forget_cached(fd: int, offset: int = 0, length: int = 0) -> None:
    """Ask the kernel to drop its cache, so that the next read comes from the store.

    Without a length all of it. What is not written to the store yet stays.
    """
    os.posix_fadvise(fd, offset, length, os.POSIX_FADV_DONTNEED)
