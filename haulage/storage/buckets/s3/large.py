"""Sums that verify an object read in ranges, from those that the server keeps.

A checksum is preferred to an etag, because it means the same on every server. An etag
that differs from the MD5s does not prove damage if the parts turn out uneven, or if the
server gives the same content a second time.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

from haulage.errors import PermanentError
from haulage.place import part_bytes
from haulage.storage.buckets.headers import etag_in, is_keyed
from haulage.storage.buckets.protocol import Found
from haulage.storage.buckets.s3.connection.reach import Reach
from haulage.storage.buckets.sums import (
    Checksum,
    RangeSums,
    checksum_in,
    checksum_of_etag,
    range_sums,
    sums_of_ranges,
)
from haulage.storage.buckets.upload_proof import Etags, Proof
from haulage.storage.store import Extent, Sums

ASKING = {"x-amz-checksum-mode": "ENABLED"}
_OURS = "haulage"  # in the metadata of what was sent in parts of `part_bytes`

Read = Callable[[Found, Extent], memoryview]


class _Sum(NamedTuple):
    """A sum of one version of an object."""

    found: Found
    wanted: Checksum
    step: int  # how long its parts are; 0: it has none, or nobody knows
    is_told: bool  # a checksum, not an etag


class LargeSums:
    """Finds out which sums the server of a bucket keeps of an object."""

    def __init__(self, reach: Reach, proof: Proof, read: Read) -> None:
        self._reach, self._proof, self._read = reach, proof, read
        self._parts_are_summed = True  # in the etags of what was made of parts

    def of(self, found: Found) -> Sums:
        """Return the sums of this version; none if it is gone by now."""
        headers = self._ask(found)
        if headers is None:
            return Sums()
        told = checksum_in(headers, found.etag)
        by_etag = None if is_keyed(headers) else checksum_of_etag(found.etag)
        candidates = [(told, True), (by_etag, False)]
        if told is not None and not told.is_crc:
            candidates.reverse()  # an MD5 costs less than a SHA
        for wanted, is_told in candidates:
            if wanted is None or not (is_told or self._believes(wanted)):
                continue
            step = self._step_of(found, wanted) if wanted.parts else 0
            if made := self._made(_Sum(found, wanted, step, is_told)):
                return made
        return Sums()

    def _believes(self, etag: Checksum) -> bool:
        if etag.parts:
            return self._parts_are_summed
        return self._proof.etags is not Etags.OTHER

    def _made(self, sum_: _Sum, *, again: bool = False) -> RangeSums | None:
        def excuse(value: bytes) -> bool:
            return self._excuses(sum_, value)

        wanted, size = sum_.wanted, sum_.found.size
        return range_sums(wanted, size, sum_.step, None if again else excuse)

    def _excuses(self, sum_: _Sum, value: bytes) -> bool:
        if sum_.wanted.parts and not self._are_even(sum_):
            return True
        if sum_.is_told:
            return False
        if not sum_.wanted.parts and self._proof.etags is Etags.MD5:
            return False
        if not self._comes_again(sum_, value):
            return False
        if sum_.wanted.parts:
            self._parts_are_summed = False
        else:
            self._proof.explain()
        return True

    def _comes_again(self, sum_: _Sum, value: bytes) -> bool:
        """Read it once more: a transmission error does not repeat itself."""
        sums = self._made(sum_, again=True)
        assert sums is not None
        read = partial(self._read, sum_.found)
        return sums.result(sums_of_ranges(sums, sum_.found.size, read)) == value

    # ------------------------------------------------------------------ parts

    def _step_of(self, found: Found, wanted: Checksum) -> int:
        """Return the length of the parts: the server's, or as Haulage makes them."""
        headers = self._ask(found, 1) or {}
        if headers.get("x-amz-mp-parts-count") == str(wanted.parts):
            step = int(headers["Content-Length"])
        else:
            step = part_bytes(found.size) if _OURS in found.metadata else 0
        return step if step and -(-found.size // step) == wanted.parts else 0

    def _are_even(self, sum_: _Sum) -> bool:
        """Tell whether all parts but the last have the length of the first."""
        size, step, parts = sum_.found.size, sum_.step, sum_.wanted.parts
        for number in range(2, parts + 1):
            headers = self._ask(sum_.found, number) or {}
            if headers.get("x-amz-mp-parts-count") != str(parts):
                return True  # the server does not tell
            length = min(step, size - (number - 1) * step)
            if int(headers["Content-Length"]) != length:
                return False
        return True

    def _ask(self, found: Found, part: int = 0) -> Mapping[str, str] | None:
        """Return the headers of this version, or of one part; None if it is gone."""
        query = (("partNumber", str(part)),) if part else ()
        try:
            got = self._reach.call(
                self._reach.named("HEAD", found.key),
                lambda: self._reach.wire.send(
                    "HEAD", found.key, query=query, headers=ASKING
                ),
            )
        except PermanentError:  # whoever reads it will be told why
            return None
        is_it = etag_in(got.headers) == found.etag
        return got.headers if part or is_it else None  # some give parts their own
