"""Reads, hashes and copies the bytes of files through descriptors."""

import errno
import fcntl
import heapq
import os
from typing import NamedTuple

import xxhash

from haulage.storage.tree.sparse import data_spans, is_hashed, is_sparse
from haulage.verbs.attempt import SMALL_BYTES, Work

_FICLONE = 0x40049409
# Below this, a plain copy is as fast and leaves no shared extent.
_CLONE_FROM_BYTES = 128 << 10
_KERNEL_COPY_BYTES = 64 << 20  # a call's length, so that a cancel is noticed
_NOT_HERE = frozenset(
    {errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.ENOTTY}
)


def copy_content(
    work: Work, source: int, target: int, found: os.stat_result
) -> tuple[int, bytes | None]:
    """Copy a file from the start; return how many bytes it has, and their checksum.

    A count that differs from the size found tells that the source was not as its stat
    said. The checksum is None where the kernel copied, and of a file with huge holes.
    """
    size, sparse = found.st_size, is_sparse(found) and work.kept.sparse
    can_clone = work.can_clone and (sparse or not is_sparse(found))
    if size <= SMALL_BYTES and not sparse:
        return _copy_small(work, source, target)
    if can_clone and size >= _CLONE_FROM_BYTES and _clone(work, source, target):
        work.moved += min(size, found.st_blocks * 512)
        return size, None
    if not sparse:
        return copy_range(work, source, target, 0, size)
    os.ftruncate(target, size)
    return copy_sparse(work, source, target, Range(0, size, is_hashed(found)))


class Range(NamedTuple):
    """Bytes of a sparse file; those of one with huge holes are not hashed."""

    start: int
    end: int
    hashed: bool


def copy_part(
    work: Work, source: int, target: int, piece: tuple[int, int], found: os.stat_result
) -> tuple[int, bytes | None]:
    """Copy a part, given as offset and length; return as `copy_content` does.

    The temporary may have been filled by an earlier try.
    """
    offset, length = piece
    if not (is_sparse(found) and work.kept.sparse):
        return copy_range(work, source, target, offset, length)
    part = Range(offset, offset + length, is_hashed(found))
    _clear(work, target, part)
    return copy_sparse(work, source, target, part)


def copy_sparse(
    work: Work, source: int, target: int, part: Range
) -> tuple[int, bytes | None]:
    """Copy only data, into a target that has nothing there yet."""
    digest = xxhash.xxh3_128() if part.hashed and work.hashing else None
    at = part.start
    for data, end in data_spans(source, part.start, part.end):
        if digest:
            _feed_zeros(work, [digest], data - at)
        got = _copy_stretch(work, source, target, (data, end), digest)
        if got < end - data:
            return data + got - part.start, None
        at = end
    if digest:
        _feed_zeros(work, [digest], part.end - at)
    return part.end - part.start, digest.digest() if digest else None


def _copy_stretch(
    work: Work,
    source: int,
    target: int,
    stretch: tuple[int, int],
    digest: xxhash.xxh3_128 | None,
) -> int:
    start, end = stretch
    if not work.hashing:
        copied = _kernel_copy(work, source, target, start, end - start)
        if copied is not None:
            return copied
    return _copy_through(work, source, target, stretch, digest)


def _clear(work: Work, target: int, part: Range) -> None:
    """Make zeros of what another version of the file left in a shared temporary."""
    size = os.fstat(target).st_size
    zeros = memoryview(_ZEROS)
    for start, end in data_spans(target, part.start, min(part.end, size)):
        for at in range(start, end, SMALL_BYTES):
            work.check_cancelled()
            _write_all(target, zeros[: end - at], at)


def _copy_small(work: Work, source: int, target: int) -> tuple[int, bytes]:
    """Copy a file in one read; the buffer has room for one that grew meanwhile."""
    length = os.readv(source, [work.buffer])
    content = work.buffer[:length]
    written = os.write(target, content)
    while written < length:
        written += os.write(target, content[written:])
    work.moved += length
    return length, xxhash.xxh3_128_digest(content)


def _clone(work: Work, source: int, target: int) -> bool:
    """Share the source's extents, where the file system can."""
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError as err:
        if err.errno not in _NOT_HERE:
            raise
        work.can_clone = False
        return False
    return True


def copy_range(
    work: Work, source: int, target: int, offset: int, length: int
) -> tuple[int, bytes | None]:
    """Copy a byte range to the same place; return as `copy_content` does."""
    if not work.hashing and work.kept.sparse:  # the kernel may leave holes
        copied = _kernel_copy(work, source, target, offset, length)
        if copied is not None:
            return copied, None
    digest = xxhash.xxh3_128()
    end = offset + length
    copied = _copy_through(work, source, target, (offset, end), digest)
    return copied, digest.digest()


def _copy_through(
    work: Work,
    source: int,
    target: int,
    stretch: tuple[int, int],
    digest: xxhash.xxh3_128 | None,
) -> int:
    """Copy through the buffer; return how many bytes came."""
    start, end = stretch
    at = start
    while at < end:
        work.check_cancelled()
        got = os.preadv(source, [work.buffer[: min(SMALL_BYTES, end - at)]], at)
        if not got:
            break
        chunk = work.buffer[:got]
        if digest:
            digest.update(chunk)
        _write_all(target, chunk, at)
        at += got
        work.moved += got
    return at - start


def _write_all(target: int, chunk: memoryview, at: int) -> None:
    done = 0
    while done < len(chunk):
        done += os.pwrite(target, chunk[done:], at + done)


def _kernel_copy(
    work: Work, source: int, target: int, offset: int, length: int
) -> int | None:
    """Let the kernel copy; None when it can not between these two files."""
    done = 0
    while done < length:
        work.check_cancelled()
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
        work.moved += got
    return done


def digest_of(work: Work, fd: int, offset: int = 0, length: int | None = None) -> bytes:
    """Return the xxh3-128 of a file's bytes, or of one range of them."""
    digest = xxhash.xxh3_128()
    feed(work, [digest], fd, offset, length)
    return digest.digest()


def feed(
    work: Work,
    digests: list[xxhash.xxh3_128],
    fd: int,
    offset: int = 0,
    length: int | None = None,
) -> None:
    """Add a range's bytes to running checksums; holes are not read."""
    found = os.fstat(fd)
    if not is_sparse(found):
        _feed_data(work, digests, fd, offset, length)
        return
    at, end = offset, found.st_size if length is None else offset + length
    for data, after in data_spans(fd, at, end):
        _feed_zeros(work, digests, data - at)
        _feed_data(work, digests, fd, data, after - data)
        at = after
    _feed_zeros(work, digests, min(end, found.st_size) - at)


def _feed_data(
    work: Work,
    digests: list[xxhash.xxh3_128],
    fd: int,
    offset: int,
    length: int | None,
) -> None:
    at = offset
    while length is None or at < offset + length:
        work.check_cancelled()
        step = SMALL_BYTES if length is None else min(SMALL_BYTES, offset + length - at)
        got = os.preadv(fd, [work.buffer[:step]], at)
        if not got:
            break
        for digest in digests:
            digest.update(work.buffer[:got])
        at += got
        work.moved += got


_ZEROS = bytes(SMALL_BYTES)


def _feed_zeros(work: Work, digests: list[xxhash.xxh3_128], length: int) -> None:
    while length > 0:
        work.check_cancelled()
        zeros = _ZEROS if length >= SMALL_BYTES else bytes(length)
        for digest in digests:
            digest.update(zeros)
        length -= len(zeros)


def is_same_data(work: Work, one: int, other: int) -> bool:
    """Tell whether two files have equal bytes, reading only where either has data."""
    size = os.fstat(one).st_size
    if os.fstat(other).st_size != size:
        return False
    at = 0
    for start, end in heapq.merge(data_spans(one, 0, size), data_spans(other, 0, size)):
        at = max(at, start)
        while at < end:
            work.check_cancelled()
            step = min(SMALL_BYTES, end - at)
            if os.pread(one, step, at) != os.pread(other, step, at):
                return False
            at += step
            work.moved += step
    return True


def forget_cached(fd: int) -> None:
    """Ask the kernel to drop its copy, so that the next read comes from the store."""
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
