"""Reads, hashes and copies the bytes of files through descriptors."""

import errno
import fcntl
import os

import xxhash

from haulage.ops.work import SMALL_BYTES, Work

_FICLONE = 0x40049409
# Below this, a plain copy is as fast and leaves no shared extent.
_CLONE_FROM_BYTES = 128 << 10
_KERNEL_COPY_BYTES = 64 << 20  # a call's length, so that a cancel is noticed
_NOT_HERE = frozenset(
    {errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.ENOTTY}
)


def copy_content(
    work: Work, source: int, target: int, size: int
) -> tuple[int, bytes | None]:
    """Copy `size` bytes from the start; return how many came, and their checksum.

    A count that differs from `size` tells that the source was not as its stat said. The
    checksum is None where the kernel copied.
    """
    if size <= SMALL_BYTES:
        return _copy_small(work, source, target)
    if work.can_clone and size >= _CLONE_FROM_BYTES and _clone(work, source, target):
        work.moved += size
        return size, None
    return copy_range(work, source, target, 0, size)


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
    if not work.hashing:
        copied = _kernel_copy(work, source, target, offset, length)
        if copied is not None:
            return copied, None
    digest = xxhash.xxh3_128()
    at, end = offset, offset + length
    while at < end:
        work.check_cancelled()
        got = os.preadv(source, [work.buffer[: min(SMALL_BYTES, end - at)]], at)
        if not got:
            break
        chunk = work.buffer[:got]
        digest.update(chunk)
        _write_all(target, chunk, at)
        at += got
        work.moved += got
    return at - offset, digest.digest()


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
    """Add a range's bytes to running checksums."""
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


def forget_cached(fd: int) -> None:
    """Ask the kernel to drop its copy, so that the next read comes from the store."""
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
