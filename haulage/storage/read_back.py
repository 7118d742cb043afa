"""Reads back what was written in ranges, and compares each with its own checksum."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import xxhash

from haulage.errors import MismatchError


class Written(NamedTuple):
    """A range, and the xxh3-128 of what was written there."""

    offset: int
    length: int
    digest: bytes


Feed = Callable[[xxhash.xxh3_128, int, int], None]


def check(written: Written, found: bytes, what: str) -> None:
    """Raise MismatchError if a range reads back as something else."""
    offset, length, digest = written
    if found != digest:
        raise MismatchError(
            f"bytes {offset} to {offset + length} of what was {what} read back "
            f"differently"
        )


def check_ranges(feed: Feed, ranges: Iterable[Written], what: str) -> None:
    """Check ranges one by one.

    `feed` adds the bytes at an offset, of a length, to a running checksum.
    """
    for written in ranges:
        found = xxhash.xxh3_128()
        feed(found, written.offset, written.length)
        check(written, found.digest(), what)


def feed_of(read: Callable[[int, int], bytes | memoryview]) -> Feed:
    """Return a feed that reads each range at once."""
    return lambda digest, offset, length: digest.update(read(offset, length))
