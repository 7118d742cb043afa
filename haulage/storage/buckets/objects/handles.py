"""One open object: read in ranges of one version, or made of parts."""

from collections.abc import Callable
from functools import cached_property

from haulage.errors import (
    MismatchError,
    PermanentError,
    UnstableError,
    VanishedError,
)
from haulage.place import part_bytes
from haulage.storage.buckets.protocol import Answer, Bucket, ByParts, Found, PutBy
from haulage.storage.buckets.sums import PROVING, digest, whole_crc
from haulage.storage.read_back import Written, check_ranges, feed_of
from haulage.storage.resumable import Done, Ranges, checksum_of
from haulage.storage.store import Extent, Made, Reading, Seen, Sums, Writing, nothing

_ABORTED = "its upload was aborted; it starts over"


class ObjectReading(Reading):
    """One version of an object; a small one was fetched as a whole."""

    def __init__(
        self, bucket: Bucket, found: Found, seen: Seen, content: memoryview | None
    ) -> None:
        self._bucket, self._found = bucket, found
        self.seen = seen
        self._content = content

    def read(self, extent: Extent) -> memoryview:
        if self._content is not None:
            content = self._content[extent.offset : extent.offset + extent.length]
            if len(content) < extent.length:
                raise UnstableError("is shorter than it was when it was listed")
            return content
        if not extent.length:
            return memoryview(b"")
        found = self._found
        return self._bucket.get(found.key, span=extent, etag=found.etag)[1]

    @cached_property
    def sums(self) -> Sums:
        """See Reading; the server is asked once, and for large objects alone."""
        return self._bucket.sums(self._found)

    def forget_cached(self) -> None:
        """See Reading; nothing is cached between two openings."""

    def has_same_data(self, other: Reading) -> bool:
        raise AssertionError("no object has holes")

    def confirm(self) -> None:
        """See Reading; each range was requested by the version's etag."""

    def close(self) -> None:
        self._content = None


class UploadWriting(Writing):
    """A large object as a multipart upload, recorded in the run's workspace.

    A part's number follows from its offset, so that any mover can send any part.
    """

    def __init__(
        self,
        bucket: ByParts,
        key: str,
        by: PutBy,
        ranges: Ranges,
        size: int,
        *,
        prove: bool,
    ) -> None:
        self._bucket, self._key, self._ranges, self._size = bucket, key, ranges, size
        self._proves = prove
        self._upload = ranges.claim(
            lambda: bucket.begin_upload(key, by),
            lambda upload: bucket.abort_upload(key, upload),
        )
        self.done: dict[int, Done] = ranges.done()

    def write(self, offset: int, content: bytes | memoryview, done: Done) -> None:
        number = offset // part_bytes(self._size) + 1
        try:
            etag = self._bucket.put_part(self._key, self._upload, number, content)
        except VanishedError as err:
            self._ranges.forget()
            raise UnstableError(_ABORTED) from err
        made = done._replace(etag=etag, crc=digest(PROVING, content))
        self.done[offset] = made
        self._ranges.note(offset, made)

    def finish(self, seen: Seen, confirm: Callable[[], None] = nothing) -> Made:
        self.done = self._ranges.done()
        starts = range(0, self._size, part_bytes(self._size))
        if sorted(self.done) != list(starts):
            self.abandon()
            raise UnstableError("not all of its parts arrived; it is copied again")
        try:
            confirm()
        except (UnstableError, VanishedError):
            self.abandon()
            raise
        etags = [self.done[start].etag for start in starts]
        answer = self._complete(etags)
        self._ranges.forget()
        if not self._proves:
            return Made(answer.etag, proven=answer.proven)
        self._read_back(answer.etag)
        return Made(answer.etag, proven=True, checksum=checksum_of(self.done))

    def _complete(self, etags: list[bytes]) -> Answer:
        crc = whole_crc({at: done.crc for at, done in self.done.items()}, self._size)
        try:
            return self._bucket.finish_upload(self._key, self._upload, etags, crc)
        except VanishedError as err:  # of the upload; the source is there
            self._ranges.forget()
            raise UnstableError(_ABORTED) from err
        except MismatchError:
            self._ranges.forget()
            raise
        except PermanentError:  # its parts are not taken, so none can be kept
            self.abandon()
            raise

    def _read_back(self, etag: bytes) -> None:
        """Compare every part's checksum; no part can be read before all are there."""
        step = part_bytes(self._size)
        ranges = (
            Written(start, min(step, self._size - start), self.done[start].digest)
            for start in sorted(self.done)
        )
        feed = feed_of(
            lambda *span: self._bucket.get(self._key, span=span, etag=etag)[1]
        )
        check_ranges(feed, ranges, "sent")

    def abandon(self) -> None:
        self._bucket.abort_upload(self._key, self._upload)
        self._ranges.forget()

    def leave(self) -> None:
        """See Writing; only the record in the workspace stays."""
