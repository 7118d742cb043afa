"""Sums that a store keeps of an object, and their comparison with what was read.

Amazon's protocol has two forms: of the whole, or of the sums of its parts, which are
hashed once more and written as `SUM-N`. A CRC of the whole follows from those of its
ranges, in any order and from any process; an MD5 or a SHA of the whole does not: the
object must be read from start to end.
"""

import hashlib
import re
import zlib
from base64 import b64decode
from binascii import Error
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

from haulage.errors import MismatchError
from haulage.place import part_bytes
from haulage.storage.store import Extent, Sums

PROVING = "crc64nvme"  # what Amazon keeps of every object, asked for or not

_CRC_BYTES = {"crc64nvme": 8, "crc32c": 4, "crc32": 4}
_MODELS = {"crc64nvme": "CRC64-NVME", "crc32c": "CRC32C", "crc32": "CRC32"}
_ALGORITHMS = (*_CRC_BYTES, "sha256", "sha1")  # what costs least first
_ETAG = re.compile(rb"([0-9a-f]{32})(?:-(\d{1,5}))?")
_TOLD = re.compile(r"([A-Za-z0-9+/]+=*)(?:-(\d{1,5}))?")
_MOST_BYTES = 32  # of the sums of one range, which are noted in a file's name
_MIB = 1 << 20
_USUAL_PARTS = (8 * _MIB, 5 * _MIB, 16 * _MIB)  # of aws and boto3, rclone, mc


class Checksum(NamedTuple):
    """One sum of an object; `parts` is 0 if it is of the whole."""

    algorithm: str
    value: bytes
    parts: int = 0

    @property
    def is_crc(self) -> bool:
        """Tell whether sums of ranges can be combined to that of the whole."""
        return self.algorithm in _CRC_BYTES

    def fits(self, content: bytes | memoryview) -> bool:
        """Tell whether a whole content has this sum."""
        return digest(self.algorithm, content) == self.value

    def fits_in_parts(self, content: bytes | memoryview) -> bool:
        """Tell whether it is the sum of a content in parts as usual tools make them."""
        size = len(content)
        for step in dict.fromkeys((size, part_bytes(size), *_USUAL_PARTS)):
            if step and -(-size // step) == self.parts:
                sums = sums_of_parts(self.algorithm, content, step)
                if digest(self.algorithm, sums) == self.value:
                    return True
        return False


def checksum_in(headers: Mapping[str, str], etag: bytes) -> Checksum | None:
    """Return the checksum of a whole object in an answer, or None.

    Some servers do not say which form it has: for an object made of parts, such a
    checksum is ignored.
    """
    kind = headers.get("x-amz-checksum-type")
    for algorithm in _ALGORITHMS:
        told = _TOLD.fullmatch(headers.get(f"x-amz-checksum-{algorithm}", ""))
        if told is None:
            continue
        parts = int(told[2] or 0)
        is_known = kind is not None or b"-" not in etag
        if parts == 0 and (kind == "COMPOSITE" or not is_known):
            continue
        try:
            return Checksum(algorithm, b64decode(told[1], validate=True), parts)
        except Error:
            continue
    return None


def checksum_of_etag(etag: bytes) -> Checksum | None:
    """Return an etag as a sum: the content's MD5, or that of MD5s; else None."""
    told = _ETAG.fullmatch(etag)
    if told is None:
        return None
    return Checksum("md5", bytes.fromhex(told[1].decode()), int(told[2] or 0))


def digest(algorithm: str, content: bytes | memoryview) -> bytes:
    """Return a sum as the bytes that a server sends in base64."""
    if algorithm == "crc32":
        return zlib.crc32(content).to_bytes(4, "big")
    length = _CRC_BYTES.get(algorithm)
    if length is not None:
        return int(_model(algorithm).calc(content)).to_bytes(length, "big")
    return hashlib.new(algorithm, content, usedforsecurity=False).digest()


def sums_of_parts(algorithm: str, content: bytes | memoryview, step: int) -> bytes:
    """Return the sums of each `step` bytes, concatenated."""
    view = memoryview(content)
    return b"".join(
        digest(algorithm, view[at : at + step]) for at in range(0, len(view), step)
    )


@cache
def _model(algorithm: str) -> Any:  # noqa: ANN401 - the library has no types
    import anycrc  # of nobody but large objects

    return anycrc.Model(_MODELS[algorithm])


# ------------------------------------------------------------ of ranges


def ranges_of(size: int) -> Iterator[Extent]:
    """Yield the ranges in which a large object is read."""
    step = part_bytes(size)
    for start in range(0, size, step):
        yield Extent(start, min(step, size - start))


Excuse = Callable[[bytes], bool]  # tells whether a sum that is another proves nothing


class RangeSums(Sums):
    """The sum of the whole, from sums of ranges, and its expected value."""

    def __init__(self, wanted: Checksum, size: int, excuse: Excuse | None) -> None:
        """Call `excuse` only on a mismatch, because it may read everything again."""
        self.wanted, self.size, self._excuse = wanted, size, excuse

    def result(self, known: Mapping[int, bytes]) -> bytes | None:
        """Return the sum of the whole; None if it does not follow from these ranges."""
        raise NotImplementedError

    def check(self, known: Mapping[int, bytes]) -> None:
        found, wanted = self.result(known), self.wanted
        if found in (None, wanted.value):
            return
        assert found is not None
        if self._excuse is None or not self._excuse(found):
            raise MismatchError(
                f"the content that arrived has the {wanted.algorithm} {found.hex()}, "
                f"the object's is {wanted.value.hex()}; it is copied again"
            )


class CrcSums(RangeSums):
    """The CRC of a whole, from those of its ranges."""

    def of(self, extent: Extent, content: bytes | memoryview) -> bytes:
        return digest(self.wanted.algorithm, content)

    def result(self, known: Mapping[int, bytes]) -> bytes | None:
        length, whole = _CRC_BYTES[self.wanted.algorithm], 0
        for extent in ranges_of(self.size):
            crc = known.get(extent.offset, b"")
            if len(crc) != length:
                return None
            more = int.from_bytes(crc, "big")
            whole = _model(self.wanted.algorithm).combine(whole, more, extent.length)
        return int(whole).to_bytes(length, "big")


def whole_crc(known: Mapping[int, bytes], size: int) -> bytes | None:
    """Return the whole's CRC64NVME from those of its ranges; None if one is missing."""
    return CrcSums(Checksum(PROVING, b""), size, None).result(known)


class PartSums(RangeSums):
    """The sum of the sums of parts; each range holds whole parts."""

    def __init__(
        self, wanted: Checksum, size: int, excuse: Excuse | None, step: int
    ) -> None:
        super().__init__(wanted, size, excuse)
        self._step = step

    def of(self, extent: Extent, content: bytes | memoryview) -> bytes:
        if extent.offset % self._step:
            return b""
        sums = sums_of_parts(self.wanted.algorithm, content, self._step)
        return sums if len(sums) <= _MOST_BYTES else b""

    def result(self, known: Mapping[int, bytes]) -> bytes | None:
        sums = b"".join(known[start] for start in sorted(known))
        if len(sums) != self.wanted.parts * len(digest(self.wanted.algorithm, b"")):
            return None
        return digest(self.wanted.algorithm, sums)


class WholeSums(RangeSums):
    """The sum of a whole that one reader reads from start to end."""

    def __init__(self, wanted: Checksum, size: int, excuse: Excuse | None) -> None:
        super().__init__(wanted, size, excuse)
        self._at = 0
        self._sum = hashlib.new(wanted.algorithm, usedforsecurity=False)

    def follow(self, extent: Extent, content: bytes | memoryview) -> None:
        if extent.offset == self._at:
            self._sum.update(content)
            self._at += extent.length

    def result(self, known: Mapping[int, bytes]) -> bytes | None:
        return self._sum.digest() if self._at == self.size else None


def sums_of_ranges(
    sums: Sums, size: int, read: Callable[[Extent], memoryview]
) -> dict[int, bytes]:
    """Return the sum of each range, by its offset; all are read in order."""
    known = {}
    for extent in ranges_of(size):
        content = read(extent)
        sums.follow(extent, content)
        known[extent.offset] = sums.of(extent, content)
    return known


def range_sums(
    wanted: Checksum, size: int, step: int, excuse: Excuse | None
) -> RangeSums | None:
    """Return what verifies ranges of `part_bytes` by this checksum, or None.

    `step` is the length of the object's parts; 0 if unknown.
    """
    if wanted.parts:
        lines_up = step and part_bytes(size) % step == 0
        return PartSums(wanted, size, excuse, step) if lines_up else None
    if wanted.is_crc:
        return CrcSums(wanted, size, excuse)
    return WholeSums(wanted, size, excuse)
