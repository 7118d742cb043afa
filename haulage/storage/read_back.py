"""Reads back what was written in ranges, and compares each with its own checksum."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import xxhash

from haulage.errors import MismatchError


class Written(NamedTuple):
    """A range, and the xxh3-128 of what was written there."""

    offset: int
    length: int
    digest: bytes | None


Feed = Callable[[list[xxhash.xxh3_128], int, int], None]


def checksum_of_ranges(feed: Feed, ranges: Iterable[Written], what: str) -> bytes:
    """Return the xxh3-128 of all ranges, in their order; MismatchError if one differs.

    `feed` adds the bytes at an offset, of a length, to running checksums.
    """
    whole = xxhash.xxh3_128()
    for offset, length, digest in ranges:
        own = xxhash.xxh3_128()
        feed([own, whole], offset, length)
        if own.digest() != digest:
            raise MismatchError(
                f"bytes {offset} to {offset + length} of what was {what} read back "
                f"differently"
            )
    return whole.digest()


def feed_of(read: Callable[[int, int], bytes | memoryview]) -> Feed:
    """Return a feed that reads each range at once."""

    def feed(digests: list[xxhash.xxh3_128], offset: int, length: int) -> None:
        content = read(offset, length)
        for digest in digests:
            digest.update(content)

    return feed
