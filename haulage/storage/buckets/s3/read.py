"""Whole objects and ranges of a bucket, with their content verified if possible."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import obstore
from obstore.exceptions import BaseError

from haulage.errors import (
    MismatchError,
    TransientError,
    UnstableError,
    VanishedError,
)
from haulage.storage.buckets.faults import reply_of
from haulage.storage.buckets.headers import (
    etag_in,
    found_in_headers,
    found_in_result,
    is_keyed,
)
from haulage.storage.buckets.protocol import Found
from haulage.storage.buckets.s3.connection.reach import Reach
from haulage.storage.buckets.s3.large import ASKING, LargeSums
from haulage.storage.buckets.sums import (
    Checksum,
    checksum_in,
    checksum_of_etag,
    sums_of_ranges,
)
from haulage.storage.buckets.upload_proof import Etags, Proof, md5_of
from haulage.storage.store import Extent, Sums

if TYPE_CHECKING:
    from obstore import GetOptions

Span = tuple[int, int] | None

_ODD = re.compile(r"^$|^/|/$|//|(?:^|/)\.\.?(?:/|$)|[\x00-\x1f\x7f]")
_UNREADABLE = "InvalidMetadata"  # which obstore does not give
_NO_PARTIAL = "non-partial response"  # a range under status 200, as rclone sends it
_UNEXPLAINED = (301, 400, 401, 403, 404)


def is_plain(key: str) -> bool:
    """Tell whether obstore uses the key unchanged, not as a path to normalize."""
    return _ODD.search(key) is None


class _Got(NamedTuple):
    """The content of an object, and the checksum of it as a whole, if sent."""

    found: Found
    content: memoryview
    told: Checksum | None = None


class Reader:
    """Reads the objects of one bucket."""

    def __init__(self, reach: Reach, proof: Proof) -> None:
        self._reach = reach
        self._proof = proof
        self._large = LargeSums(reach, proof, self._part)
        self._ranges_are_partial = True

    def _part(self, found: Found, extent: Extent) -> memoryview:
        return self.get(found.key, extent, found.etag)[1]

    def head(self, key: str) -> Found | None:
        """Return an object's headers; None is proof of its absence."""
        what = self._reach.named("HEAD", key)
        try:
            return self._reach.call(what, lambda: self._head(key, what))
        except VanishedError:
            return None

    def raw_headers(self, key: str) -> Mapping[str, str]:
        """Return all headers of an object; VanishedError if it does not exist."""
        return self._reach.call(
            self._reach.named("HEAD", key),
            lambda: self._reach.wire.send("HEAD", key, headers=ASKING).headers,
        )

    def get(self, key: str, span: Span, etag: bytes | None) -> tuple[Found, memoryview]:
        """Return an object or a range of it, of the version `etag` if one is given."""
        what = self._reach.named("GET", key)
        return self._reach.call(what, lambda: self._get(key, span, etag, what))

    def sums(self, found: Found) -> Sums:
        """Return the sums that verify this version when it is read in ranges."""
        return self._large.of(found)

    def explains(self, key: str, etag: bytes, content_md5: bytes) -> bool:
        """Tell whether the object is right although its etag is not its MD5.

        That is so if it is encrypted with a key of KMS or the customer's, or if the
        server, of which no MD5 was seen yet, gives the same content a second time. A
        checksum proves nothing here: some servers repeat what they were sent.
        """
        headers = self._reach.wire.send("HEAD", key).headers
        if not is_keyed(headers):
            if self._proof.etags is Etags.MD5:
                return False
            got = self._fetch(key, None, None)
            if got.found.etag != etag or md5_of(got.content) != content_md5:
                return False
        self._proof.explain()
        return True

    def _head(self, key: str, what: str) -> Found:
        try:
            return self._look(key)
        except Exception as err:
            reply = reply_of(err)
            if reply is None or reply.code or reply.status not in _UNEXPLAINED:
                raise
        # An answer to HEAD has no body: a missing bucket would be an absent key.
        self._reach.wire.send("GET", key, headers={"Range": "bytes=0-0"})
        raise TransientError(f"{what}: {reply.text}, but GET is answered")

    def _look(self, key: str) -> Found:
        if is_plain(key):
            store = self._reach.store(None)
            try:
                return found_in_result(
                    key, obstore.get(store, key, options={"head": True})
                )
            except BaseError as err:
                if _UNREADABLE not in str(err):
                    raise
        return found_in_headers(key, self._reach.wire.send("HEAD", key).headers)

    def _get(
        self, key: str, span: Span, etag: bytes | None, what: str
    ) -> tuple[Found, memoryview]:
        found, content, told = self._fetch(key, span, etag)
        start, wanted = span or (0, found.size)
        if found.size < start + wanted:
            raise UnstableError(
                f"{what}: it has {found.size} bytes, of which {wanted} were asked for "
                f"from {start} on"
            )
        if len(content) != wanted:
            raise TransientError(f"{what}: {len(content)} of {wanted} bytes arrived")
        if etag is not None and found.etag != etag:  # If-Match was ignored
            raise UnstableError(
                f"{what}: its etag is {found.etag.decode()}, it was {etag.decode()}"
            )
        if span is None:
            self._check_content(found, content, told, what)
        return found, content

    def _fetch(self, key: str, span: Span, etag: bytes | None) -> _Got:
        if self._is_for_obstore(key, span, etag):
            options = _options(span, etag)
            try:
                result = obstore.get(self._reach.store(None), key, options=options)
                return _Got(found_in_result(key, result), memoryview(result.bytes()))
            except BaseError as err:
                if _NO_PARTIAL in str(err):
                    self._ranges_are_partial = False
                elif _UNREADABLE not in str(err):
                    raise
        return self._fetch_raw(key, span, etag)

    def _is_for_obstore(self, key: str, span: Span, etag: bytes | None) -> bool:
        """Tell whether obstore can read it; it returns no checksum where no MD5 is."""
        if span is not None:
            return is_plain(key) and self._ranges_are_partial
        return is_plain(key) and (etag is None or self._proof.expects_md5(etag))

    def _fetch_raw(self, key: str, span: Span, etag: bytes | None) -> _Got:
        headers = dict(ASKING)
        if span is not None:
            headers = {"Range": f"bytes={span[0]}-{span[0] + span[1] - 1}"}
        if etag is not None:
            headers["If-Match"] = f'"{etag.decode()}"'
        got = self._reach.wire.send("GET", key, headers=headers)
        given = got.headers.get("Content-Range", "bytes 0-")
        if span is not None and not given.startswith(f"bytes {span[0]}-"):
            raise TransientError(
                f"{self._reach.named('GET', key)}: bytes from {span[0]} on were asked "
                f"for, the server sent {given}"
            )
        found = found_in_headers(key, got.headers)
        told = None if span else checksum_in(got.headers, found.etag)
        return _Got(found, memoryview(got.body), told)

    def _check_content(
        self, found: Found, content: memoryview, told: Checksum | None, what: str
    ) -> None:
        """Raise TransientError if the content does not match the server's sums."""
        if told is not None and not told.parts:
            fits = told.fits(content)
        elif found.multipart:
            fits = self._has_parts(found, content)
        elif self._proof.expects_md5(found.etag):
            fits = self._has_md5(found, content)
        else:
            return
        if not fits:
            raise TransientError(
                f"{what}: the content that arrived is not what the server has, by its "
                f"{told.algorithm if told else f'etag {found.etag.decode()}'}"
            )

    def _has_md5(self, found: Found, content: memoryview) -> bool:
        content_md5 = md5_of(content)
        if self._proof.matches(found.etag, content_md5):
            return True
        headers = self._reach.wire.send("HEAD", found.key, headers=ASKING).headers
        told = checksum_in(headers, found.etag)
        if told is None or told.parts or etag_in(headers) != found.etag:
            return self.explains(found.key, found.etag, content_md5)
        if fits := told.fits(content):
            self._proof.explain()
        return fits

    def _has_parts(self, found: Found, content: memoryview) -> bool:
        wanted = checksum_of_etag(found.etag)
        if wanted is not None and wanted.fits_in_parts(content):
            return True

        def piece(extent: Extent) -> memoryview:
            return content[extent.offset : extent.offset + extent.length]

        sums = self._large.of(found)
        try:
            sums.check(sums_of_ranges(sums, found.size, piece))
        except MismatchError:
            return False
        return True


def _options(span: Span, etag: bytes | None) -> "GetOptions":
    options: GetOptions = {}
    if span is not None:
        options["range"] = (span[0], span[0] + span[1])
    if etag is not None:
        options["if_match"] = f'"{etag.decode()}"'
    return options
