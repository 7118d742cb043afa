"""Objects made of parts, which several processes may send."""

from base64 import b64encode
from binascii import unhexlify
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from haulage.errors import MismatchError, VanishedError
from haulage.storage.buckets.headers import etag_in, is_keyed
from haulage.storage.buckets.protocol import Answer, Upload
from haulage.storage.buckets.s3.connection.reach import Reach
from haulage.storage.buckets.s3.connection.wire import Got
from haulage.storage.buckets.s3.read import Reader
from haulage.storage.buckets.sums import PROVING, checksum_in
from haulage.storage.buckets.upload_proof import Etags, Proof, md5_of, whole_etag


class _Made(NamedTuple):
    """A completed object, as its server describes it."""

    etag: bytes
    crc: bytes | None

    def has(self, expected: bytes, crc: bytes | None) -> bool:
        """Tell whether its etag or its CRC is the one that follows from the parts."""
        return (bool(expected) and self.etag == expected) or (
            crc is not None and self.crc == crc
        )


class Uploads:
    """The multipart uploads of one bucket."""

    def __init__(self, reach: Reach, proof: Proof, reader: Reader) -> None:
        self._reach = reach
        self._proof = proof
        self._reader = reader

    def begin(self, key: str, values: Mapping[str, Any]) -> str:
        """Start an upload of an object with these parameters, and return its id."""
        begun = self._call("create_multipart_upload", key, **values)
        return str(begun["UploadId"])

    def put_part(
        self, key: str, upload_id: str, number: int, content: bytes | memoryview
    ) -> bytes:
        """Send a part; the server checks its MD5, and its etag is compared.

        If no etag of this bucket was an MD5 yet, a second answer decides whether they
        are: a transmission error does not repeat itself.
        """
        content_md5 = md5_of(content)
        query = (("partNumber", str(number)), ("uploadId", upload_id))
        what = self._reach.named(f"part {number} of", key)
        for _ in range(2):
            got = self._reach.call(what, self._sender(key, query, content, content_md5))
            etag = etag_in(got.headers)
            if self._proof.matches(etag, content_md5):
                return etag
            if is_keyed(got.headers) or not self._proof.expects_md5(etag):
                return etag
            if self._proof.etags is Etags.MD5:
                raise MismatchError(
                    f"{what}: the MD5 of the bytes sent is {content_md5.decode()}, "
                    f"the server's etag is {etag.decode()}"
                )
        self._proof.explain()
        return etag

    def _sender(
        self,
        key: str,
        query: tuple[tuple[str, str], ...],
        content: bytes | memoryview,
        content_md5: bytes,
    ) -> Callable[[], Got]:
        sums = {"Content-MD5": b64encode(unhexlify(content_md5)).decode()}
        return lambda: self._reach.wire.send(
            "PUT", key, query=query, headers=sums, body=content
        )

    def finish(
        self, key: str, upload_id: str, etags: Sequence[bytes], crc: bytes | None = None
    ) -> Answer:
        """Complete the object, whose CRC64NVME as a whole is `crc`.

        If the answer was lost, the upload is gone: the object is ours if its etag, or
        its CRC, follows from the parts. Some servers list an object of parts under
        another etag than they answer; later listings are compared with the listed one.
        """
        expected = whole_etag(etags)
        try:
            told = self._complete(key, upload_id, etags)
        except VanishedError:
            made = self._made(key)
            if made is None or not made.has(expected, crc):
                raise
            return Answer(made.etag, proven=True)
        made = self._made(key)
        if made is None or made.etag != told:
            listed = made is not None and b"-" not in made.etag
            return Answer(made.etag if made and listed else told, told == expected)
        if None not in (crc, made.crc) and crc != made.crc:
            raise MismatchError(
                f"{self._reach.named('completing', key)}: the {PROVING} of the parts "
                "is not that of the object that the server made of them"
            )
        return Answer(told, made.has(expected, crc))

    def _complete(self, key: str, upload_id: str, etags: Sequence[bytes]) -> bytes:
        parts = [
            {"PartNumber": number, "ETag": f'"{etag.decode()}"'}
            for number, etag in enumerate(etags, 1)
        ]
        answer = self._call(
            "complete_multipart_upload",
            key,
            UploadId=upload_id,
            MultipartUpload={"Parts": parts},
        )
        return etag_in(answer)

    def _made(self, key: str) -> _Made | None:
        """Look at the completed object; if encrypted, only HEAD has the checksum."""
        try:
            headers = self._reader.raw_headers(key)
        except VanishedError:
            return None
        etag = etag_in(headers)
        told = checksum_in(headers, etag)
        is_whole = told is not None and told.algorithm == PROVING
        return _Made(etag, told.value if told and is_whole else None)

    def abort(self, key: str, upload_id: str) -> None:
        """Abort an upload; no error if it is gone already."""
        try:
            self._call("abort_multipart_upload", key, UploadId=upload_id)
        except VanishedError:
            return

    def below(self, prefix: str) -> Iterator[Upload]:
        """Yield the uploads that were not completed."""
        markers = {"KeyMarker": "", "UploadIdMarker": ""}
        while True:
            page = self._page(prefix, markers)
            for each in page.get("Uploads", ()):
                began_ns = int(each["Initiated"].timestamp()) * 1_000_000_000
                yield Upload(each["Key"], each["UploadId"], began_ns)
            behind = {
                "KeyMarker": page.get("NextKeyMarker", ""),
                "UploadIdMarker": page.get("NextUploadIdMarker", ""),
            }
            if not page.get("IsTruncated") or behind == markers:
                return
            markers = behind

    def _page(self, prefix: str, markers: dict[str, str]) -> Any:  # noqa: ANN401
        given = {name: marker for name, marker in markers.items() if marker}
        given |= payer_of(self._reach)
        return self._reach.call(
            f"the uploads below s3://{self._reach.address.bucket}/{prefix}",
            lambda: self._reach.client.list_multipart_uploads(
                Bucket=self._reach.address.bucket, Prefix=prefix, **given
            ),
        )

    def _call(self, name: str, key: str, **values: Any) -> Any:  # noqa: ANN401
        return call_client(self._reach, name, key, **values)


def call_client(
    reach: Reach,
    name: str,
    key: str,
    **values: Any,  # noqa: ANN401
) -> Any:  # noqa: ANN401
    """Return the result of botocore's call of that name for a key."""
    values |= payer_of(reach)
    return reach.call(
        reach.named(name, key),
        lambda: getattr(reach.client, name)(
            Bucket=reach.address.bucket, Key=key, **values
        ),
    )


def payer_of(reach: Reach) -> dict[str, str]:
    """Return who pays, in the form of botocore's calls."""
    return {"RequestPayer": "requester"} if reach.place.requester_pays else {}
