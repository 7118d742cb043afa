"""Buckets of Amazon's protocol, at Amazon or on any other server."""

from collections.abc import Iterator, Mapping, Sequence

from haulage.place import Place
from haulage.storage.buckets.headers import parameters_of
from haulage.storage.buckets.pace import Pace
from haulage.storage.buckets.protocol import Answer, Bucket, Found, Keys, PutBy, Upload
from haulage.storage.buckets.s3.connection.check import make_sure
from haulage.storage.buckets.s3.connection.reach import Reach
from haulage.storage.buckets.s3.copies import Copies, From
from haulage.storage.buckets.s3.listing import list_page
from haulage.storage.buckets.s3.read import Reader
from haulage.storage.buckets.s3.tagging import Tagging, Tags
from haulage.storage.buckets.s3.uploads import Uploads
from haulage.storage.buckets.s3.write import Writer
from haulage.storage.buckets.upload_proof import Proof
from haulage.storage.store import Sums

_COPIED_AT_ONCE = 5 << 30  # bytes; more is Amazon's EntityTooLarge


def open_s3(
    place: Place,
    environ: Mapping[str, str],
    *,
    pace: Pace | None = None,
    copied_at_once: int = _COPIED_AT_ONCE,
) -> "S3Bucket":
    """Return the place's bucket; RefusedError if its credentials do not exist.

    No request is sent yet. `pace` lets the caller stop its waits.
    """
    return S3Bucket(Reach(place, environ, pace or Pace()), copied_at_once)


class S3Bucket:
    """One bucket; every method may be called from any thread."""

    has_uploads = True

    def __init__(self, reach: Reach, copied_at_once: int) -> None:
        self.reach = reach
        self.proof = Proof(reach.place.checksum)
        self._reader = Reader(reach, self.proof)
        self._writer = Writer(reach, self.proof, self._reader)
        self._uploads = Uploads(reach, self.proof, self._reader)
        self._tagging = Tagging(reach)
        self._copies = Copies(reach, self._reader, self._uploads, copied_at_once)

    def __repr__(self) -> str:
        return f"S3Bucket({self.reach.address})"

    def check(self, *, create: bool = False) -> None:
        make_sure(self.reach, create=create)

    def page(
        self,
        prefix: str,
        *,
        after: str | None = None,
        delimiter: str | None = None,
        limit: int = 1000,
        token: str | None = None,
    ) -> Keys:
        return list_page(
            self.reach,
            prefix,
            after=after,
            delimiter=delimiter,
            limit=limit,
            token=token,
        )

    def head(self, key: str) -> Found | None:
        return self._reader.head(key)

    def get(
        self,
        key: str,
        *,
        span: tuple[int, int] | None = None,
        etag: bytes | None = None,
    ) -> tuple[Found, memoryview]:
        return self._reader.get(key, span, etag)

    def sums(self, found: Found) -> Sums:
        return self._reader.sums(found)

    def put(self, key: str, content: bytes | memoryview, by: PutBy) -> Answer:
        return self._writer.put(key, content, by)

    def put_trial(self, key: str) -> None:
        self._writer.put(key, b"", PutBy({}), tries=1)

    def remove(self, key: str, *, etag: bytes | None = None) -> None:
        self._writer.remove(key, etag)

    def erase(self, key: str) -> None:
        self._writer.erase(key)

    def restamp(self, key: str, by: PutBy, *, etag: bytes) -> Answer:
        return self._copies.restamp(key, by, etag, lambda: self.tags(key))

    def can_copy_from(self, other: Bucket) -> bool:
        if not isinstance(other, S3Bucket):
            return False
        mine, its = self.reach, other.reach
        return (
            mine.address.service == its.address.service
            and mine.credentials.current() == its.credentials.current()
        )

    def copy_from(
        self, other: Bucket, found: Found, key: str, by: PutBy | None
    ) -> Answer:
        assert isinstance(other, S3Bucket)
        source = From(other.reach.address.bucket, found)
        return self._copies.copy(source, lambda: other.tags(found.key), key, by)

    def tags(self, key: str) -> Tags:
        return self._tagging.of(key)

    def begin_upload(self, key: str, by: PutBy) -> str:
        return self._uploads.begin(key, parameters_of(self.reach.place, by))

    def put_part(
        self, key: str, upload_id: str, number: int, content: bytes | memoryview
    ) -> bytes:
        return self._uploads.put_part(key, upload_id, number, content)

    def finish_upload(
        self,
        key: str,
        upload_id: str,
        etags: Sequence[bytes],
        crc: bytes | None = None,
    ) -> Answer:
        return self._uploads.finish(key, upload_id, etags, crc)

    def abort_upload(self, key: str, upload_id: str) -> None:
        self._uploads.abort(key, upload_id)

    def uploads(self, prefix: str) -> Iterator[Upload]:
        return self._uploads.below(prefix)

    def close(self) -> None:
        self.reach.close()
