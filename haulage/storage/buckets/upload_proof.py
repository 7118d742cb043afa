"""Proof that a bucket holds what was sent, learned from the server's answers.

With most servers the ETag of a whole object is the MD5 of its content; a match proves
the content, whatever else is true. Where it is none (KMS, some servers), a server that
was seen to refuse a wrong checksum proves the content by accepting the right one.
"""

import re
from collections.abc import Sequence
from enum import Enum
from hashlib import md5

_MD5 = re.compile(rb"[0-9a-f]{32}")

_CANDIDATES: dict[str, tuple[str | None, ...]] = {
    "auto": ("crc64nvme", "sha256", None),
    "crc64nvme": ("crc64nvme",),
    "sha256": ("sha256",),
}


class Etags(Enum):
    """What is known of a bucket's etags."""

    UNKNOWN = 0
    MD5 = 1  # one was seen that is
    OTHER = 2  # one was seen that is not, of content that is right


class Proof:
    """What one bucket's answers have shown; a race only costs another request."""

    def __init__(self, checksum: str) -> None:
        self._left = _CANDIDATES.get(checksum, (None,))
        self.etags = Etags.UNKNOWN
        self.refuses_wrong_checksums: bool | None = None  # None: not yet tried

    @property
    def checksum(self) -> str | None:
        """Return the algorithm to send next: the one that the server takes."""
        return self._left[0]

    def settle(self, checksum: str | None) -> None:
        """Remember that the server took this algorithm."""
        if len(self._left) > 1:
            self._left = (checksum,)

    def give_up(self, checksum: str | None) -> bool:
        """Drop the algorithm that was refused; False if there is no other to try."""
        left = self._left
        if checksum == left[0]:
            if len(left) == 1:
                return False
            self._left = left[1:]
        return checksum != self._left[0]

    def matches(self, etag: bytes, content_md5: bytes) -> bool:
        """Tell whether the etag is the content's MD5, and remember that it was."""
        if etag != content_md5:
            return False
        if self.etags is Etags.UNKNOWN:
            self.etags = Etags.MD5
        return True

    def expects_md5(self, etag: bytes) -> bool:
        """Tell whether an etag that is not the content's MD5 is suspicious."""
        return self.etags is not Etags.OTHER and _MD5.fullmatch(etag) is not None

    def explain(self) -> None:
        """Remember that an etag of right content was not its MD5."""
        if self.etags is Etags.UNKNOWN:
            self.etags = Etags.OTHER


def md5_of(content: bytes | memoryview) -> bytes:
    """Return the MD5 of a content, in hexadecimal."""
    return md5(content, usedforsecurity=False).hexdigest().encode()


def whole_etag(etags: Sequence[bytes]) -> bytes:
    """Return the etag of an object that was made of parts with these etags.

    Amazon's form: the MD5 of the MD5s, and the number of parts.
    """
    if not all(_MD5.fullmatch(etag) for etag in etags):
        return b""
    sums = b"".join(bytes.fromhex(etag.decode()) for etag in etags)
    return md5_of(sums) + b"-%d" % len(etags)
