"""The checksum of content: xxh3-128; of a large one, that of those of its ranges.

Whoever reads the ranges, in whatever order: the checksum of the whole follows. They are
those of `place.part_bytes`. Earlier versions recorded the xxh3-128 of all bytes.
"""

from collections.abc import Sequence
from typing import NamedTuple

import xxhash

from haulage.place import part_bytes


class Content(NamedTuple):
    """The checksum of content that was read, and what earlier versions recorded."""

    checksum: bytes
    linear: bytes

    def has(self, recorded: bytes) -> bool:
        """Tell whether this content was recorded with that checksum."""
        return recorded in self


def of_ranges(digests: Sequence[bytes]) -> bytes:
    """Return the checksum of the whole from the xxh3-128 of each of its ranges."""
    if len(digests) == 1:
        return digests[0]
    return xxhash.xxh3_128_digest(b"".join(digests))


class Checksum:
    """The checksum of content that comes in order; `size` is that of the whole.

    What comes may be a part of it that begins where a range does.
    """

    def __init__(self, size: int) -> None:
        self._step = self._left = part_bytes(size)
        self._range = xxhash.xxh3_128()
        self._before: list[bytes] = []

    def update(self, content: bytes | memoryview) -> None:
        """Add what comes next."""
        while content:
            if not self._left:
                self._before.append(self._range.digest())
                self._range.reset()
                self._left = self._step
            taken = content[: self._left] if len(content) > self._left else content
            self._range.update(taken)
            self._left -= len(taken)
            content = content[len(taken) :]

    def digests(self) -> list[bytes]:
        """Return the xxh3-128 of each range."""
        return [*self._before, self._range.digest()]

    def digest(self) -> bytes:
        """Return the checksum of all that came, as of a whole."""
        return of_ranges(self.digests())


class BothChecksums(Checksum):
    """The checksum as it is now and as earlier versions recorded it, in one pass."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self._linear = xxhash.xxh3_128() if size > self._step else None

    def update(self, content: bytes | memoryview) -> None:
        super().update(content)
        if self._linear:
            self._linear.update(content)

    def content(self) -> Content:
        """Return both; up to the length of a range they are the same."""
        checksum = self.digest()
        return Content(checksum, self._linear.digest() if self._linear else checksum)
