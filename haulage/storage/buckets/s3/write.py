"""Put and remove whole objects; each content is verified."""

from base64 import b64encode
from binascii import unhexlify
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

import obstore
from obstore.exceptions import BaseError

from haulage.errors import MismatchError, PermanentError, VanishedError
from haulage.storage.buckets.faults import UnsupportedError, error_of, reply_of
from haulage.storage.buckets.headers import attributes_of, etag_in, headers_of, tags_of
from haulage.storage.buckets.protocol import Answer, PutBy
from haulage.storage.buckets.s3.connection.reach import Reach
from haulage.storage.buckets.s3.connection.wire import AnswerError
from haulage.storage.buckets.s3.read import Reader, is_plain
from haulage.storage.buckets.upload_proof import Proof, md5_of

_NO_SHA256 = {"x-amz-checksum-sha256": b64encode(bytes(32)).decode()}
_NO_MD5 = {"Content-MD5": b64encode(bytes(16)).decode()}


class Sent(NamedTuple):
    """The content and metadata to store under a key."""

    key: str
    content: bytes | memoryview
    by: PutBy
    md5: bytes


class Writer:
    """Puts and removes the objects of one bucket."""

    def __init__(self, reach: Reach, proof: Proof, reader: Reader) -> None:
        self._reach = reach
        self._proof = proof
        self._reader = reader
        self._by_md5 = reach.place.checksum == "md5"
        self._removes_by_etag = True

    def put(
        self,
        key: str,
        content: bytes | memoryview,
        by: PutBy,
        tries: int | None = None,
    ) -> Answer:
        """Put an object; MismatchError if the server stored other content."""
        sent = Sent(key, content, by, md5_of(content))
        what = self._reach.named("PUT", key)
        etag = self._reach.call(what, self._sender(sent), tries)
        if self._proof.matches(etag, sent.md5):
            return Answer(etag, proven=True)
        return self._reach.call(what, lambda: self._judge(sent, etag, what))

    def remove(self, key: str, etag: bytes | None) -> None:
        """Remove an object; if the server supports it, only the version `etag`."""
        if etag is not None and self._removes_by_etag:
            try:
                return self._delete(key, {"If-Match": f'"{etag.decode()}"'})
            except UnsupportedError:
                self._removes_by_etag = False
        return self._delete(key, {})

    def erase(self, key: str) -> None:
        """Remove an object and its version; under a retention a marker hides it."""
        try:
            version = self._reader.raw_headers(key).get("x-amz-version-id", "null")
            self._delete(key, {}, "" if version == "null" else version)
        except VanishedError:
            return
        except PermanentError:
            self._delete(key, {})

    def _delete(self, key: str, headers: dict[str, str], version: str = "") -> None:
        query = (("versionId", version),) if version else ()
        with suppress(VanishedError):
            self._reach.call(
                self._reach.named("DELETE", key),
                lambda: self._reach.wire.send(
                    "DELETE", key, query=query, headers=headers
                ),
            )

    def _sender(self, sent: Sent) -> Callable[[], bytes]:
        attributes = attributes_of(self._reach.place, sent.by)
        if attributes is None or self._by_md5 or not is_plain(sent.key):
            sums = {"Content-MD5": b64encode(unhexlify(sent.md5)).decode()}
            return lambda: self._send_raw(sent, sums)
        tags = tags_of(self._reach.place, sent.by) or None
        return lambda: self._send(sent, attributes, tags)

    def _send(
        self, sent: Sent, attributes: dict[str, str], tags: dict[str, str] | None
    ) -> bytes:
        """Send by obstore, with the first checksum that the server takes."""
        while True:
            checksum = self._proof.checksum
            try:
                result = obstore.put(
                    self._reach.store(checksum),
                    sent.key,
                    sent.content,
                    attributes=attributes,
                    tags=tags,
                    use_multipart=False,
                )
            except BaseError as err:
                if not (_may_be_checksum(err) and self._proof.give_up(checksum)):
                    raise
            else:
                self._proof.settle(checksum)
                return (result["e_tag"] or "").strip('"').encode()

    def _send_raw(self, sent: Sent, sums: dict[str, str]) -> bytes:
        headers = headers_of(self._reach.place, sent.by) | sums
        got = self._reach.wire.send("PUT", sent.key, headers=headers, body=sent.content)
        return etag_in(got.headers)

    def _judge(self, sent: Sent, etag: bytes, what: str) -> Answer:
        """Return the answer to a put whose etag is not the content's MD5."""
        suspicious = self._proof.expects_md5(etag)
        if suspicious and not self._reader.explains(sent.key, etag, sent.md5):
            raise MismatchError(
                f"{what}: the MD5 of the bytes sent is {sent.md5.decode()}, the "
                f"server's etag is {etag.decode()}"
            )
        if self._proof.checksum is None and not self._by_md5:
            return Answer(etag, proven=False)
        if self._proof.refuses_wrong_checksums is None:
            etag = self._send_wrong(sent) or etag
        return Answer(etag, proven=self._proof.refuses_wrong_checksums is True)

    def _send_wrong(self, sent: Sent) -> bytes | None:
        """Learn whether the server verifies checksums.

        The same content is sent to the same key, so that a server that does not verify
        stores nothing new; its answer is then returned.
        """
        try:
            etag = self._send_raw(sent, _NO_MD5 if self._by_md5 else _NO_SHA256)
        except AnswerError as err:
            if err.reply.status != 400:
                raise
            self._proof.refuses_wrong_checksums = True
            return None
        self._proof.refuses_wrong_checksums = False
        return etag


def _may_be_checksum(err: BaseError) -> bool:
    """Tell whether the checksum may be the reason why a put was refused."""
    reply = reply_of(err)
    if reply is None or reply.status not in (400, 501):
        return False
    return type(error_of(reply, "")) in (PermanentError, UnsupportedError)
