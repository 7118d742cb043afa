"""Where a sparse file has data; holes read as zeros and take no space."""

import errno
import os
from collections.abc import Iterator

_BLOCK_BYTES = 512  # the unit of st_blocks, whatever the file system's own is
# Hashing zeros takes a second for every few GiB, and proves little.
_MOST_HASHED_BYTES = 1 << 30


def is_sparse(found: os.stat_result) -> bool:
    """Tell whether a file may have holes: it uses less space than its size."""
    return found.st_blocks * _BLOCK_BYTES < found.st_size


def is_hashed(found: os.stat_result) -> bool:
    """Tell whether a file has few enough holes for a checksum of all its bytes."""
    return found.st_size - found.st_blocks * _BLOCK_BYTES <= _MOST_HASHED_BYTES


def data_spans(fd: int, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield start and end of each span of data in a range; this moves the offset."""
    at = start
    while at < end:
        try:
            data = os.lseek(fd, at, os.SEEK_DATA)
        except OSError as err:
            if err.errno != errno.ENXIO:  # nothing but a hole up to the end
                raise
            return
        if data >= end:
            return
        at = min(end, os.lseek(fd, data, os.SEEK_HOLE))
        yield data, at
