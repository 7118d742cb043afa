"""Sends an entry that is open: as a whole, in ranges, or from begin to end."""

from contextlib import closing

import xxhash

from haulage.errors import UnstableError, VanishedError
from haulage.model import Kind
from haulage.storage.checksums import Checksum
from haulage.storage.resumable import checksum_of
from haulage.storage.store import Extent, Made, Reading
from haulage.verbs.attempt.attempt import Attempt, is_large
from haulage.verbs.stream import check_whole, hashed, move


def send(attempt: Attempt, path: bytes, row: int, reading: Reading) -> Made:
    """Make the target's entry; what is made has a checksum if all of it came by."""
    seen = reading.seen
    size = seen.entry.size
    if seen.entry.kind == Kind.SYMLINK:
        return attempt.target.link(path, row, seen)
    if is_large(size):
        if not attempt.target.takes_ranges:
            return _pour(attempt, path, reading)
        return _send_ranges(attempt, path, row, reading)
    content = reading.read(Extent(0, size))
    reading.confirm()
    checksum = xxhash.xxh3_128_digest(content)
    made = attempt.target.write(path, row, content, seen)
    attempt.note_moved(size)
    return made._replace(checksum=checksum)


def _send_ranges(attempt: Attempt, path: bytes, row: int, reading: Reading) -> Made:
    """Move a large entry, whose finished ranges outlive this attempt."""
    target, seen = attempt.target, reading.seen
    writing = target.begin(path, row, seen, shared=False)
    try:
        move(attempt, reading, writing, Extent(0, seen.entry.size))
        reading.confirm()
    except (UnstableError, VanishedError):
        writing.abandon()
        raise
    except BaseException:
        writing.leave()
        raise
    check_whole(reading, writing)
    made = writing.finish(seen)
    return made._replace(checksum=checksum_of(writing.done))


def _pour(attempt: Attempt, path: bytes, reading: Reading) -> Made:
    """Move a large entry to a bucket that takes it only from its begin to its end."""
    checksum = Checksum(reading.seen.entry.size)
    with closing(hashed(attempt, reading, checksum)) as chunks:
        made = attempt.target.pour(path, chunks, reading.seen)
    return made._replace(checksum=checksum.digest())
