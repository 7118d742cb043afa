"""The bucket protocol, whatever the cloud; keys are whole keys, as text.

`s3` implements it for Amazon's protocol, `gs_az` for Google's and Azure's. Both retry
and pace each request (`pace`) and sort each error (`faults`): VanishedError for a
missing object, UnstableError for another version than requested, PermanentError for one
key, FatalError for the bucket and the credentials.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np

from haulage.errors import RefusedError
from haulage.storage.store import NOTHING_CARRIED, Carried, Sums


class MissingBucketError(RefusedError):
    """The bucket does not exist, and its creation was not requested."""


class Found(NamedTuple):
    """An object, as its headers describe it. Times are nanoseconds since the epoch."""

    key: str
    size: int
    etag: bytes  # with its quotes off
    modified_ns: int
    metadata: Mapping[str, str]  # keys in lower case
    carried: Carried = NOTHING_CARRIED  # without tags, which are asked for apart
    multipart: bool = False  # so that the etag is no MD5 of the content


@dataclass(frozen=True, slots=True)
class Keys:
    """One page of a listing, in the server's order.

    Row i of the arrays belongs to `keys[i]`. `prefixes` are what a delimiter rolled up.
    `token` continues exactly after this page, whatever the server's order. With
    `replaced`, U+FFFD in a key may stand for a character that the answer could not
    hold.
    """

    keys: Sequence[str]
    sizes: np.ndarray  # int64
    etags: Sequence[bytes]
    modified_ns: np.ndarray  # int64
    prefixes: Sequence[str]
    is_last: bool
    token: str | None = None
    replaced: bool = False


class PutBy(NamedTuple):
    """Everything of a new object except its content."""

    metadata: Mapping[str, str]
    carried: Carried = NOTHING_CARRIED


class Answer(NamedTuple):
    """The server's answer for a new object.

    `proven`: it confirmed a checksum of the content that we sent.
    """

    etag: bytes
    proven: bool


class Upload(NamedTuple):
    """A multipart upload that was started and not completed."""

    key: str
    upload_id: str
    began_ns: int


class Lists(Protocol):
    """The listing part of a bucket."""

    def page(
        self,
        prefix: str,
        *,
        after: str | None = None,
        delimiter: str | None = None,
        limit: int = 1000,
        token: str | None = None,
    ) -> Keys:
        """List at most `limit` keys below `prefix` that come after `after`.

        With the `token` of the previous page, `after` is the same as for that page.
        """
        ...


class Bucket(Lists, Protocol):
    """One bucket; every method may be called from any thread."""

    def check(self, *, create: bool = False) -> None:
        """Make sure that the bucket exists and is accessible; RefusedError otherwise.

        `create` creates it if it is missing; without it that is a MissingBucketError,
        if it could be created.
        """
        ...

    def head(self, key: str) -> Found | None:
        """Return an object's headers; None is proof of its absence."""
        ...

    def get(
        self,
        key: str,
        *,
        span: tuple[int, int] | None = None,
        etag: bytes | None = None,
    ) -> tuple[Found, memoryview]:
        """Return an object, or the range `(offset, length)` of it.

        TransientError if the content is not as the headers say: its length, or, of a
        whole object, the checksum that the server keeps. With `etag` any other version
        is an UnstableError.
        """
        ...

    def sums(self, found: Found) -> Sums:
        """Return the sums that verify this version when it is read in ranges.

        It may cost a request or two. Ranges are of `part_bytes`.
        """
        ...

    def put(self, key: str, content: bytes | memoryview, by: PutBy) -> Answer:
        """Put an object; its checksum is sent along, and the answer's etag compared.

        MismatchError if the server stored other content.
        """
        ...

    def put_trial(self, key: str) -> None:
        """Put an empty object, only to learn whether the server takes such a key.

        It is tried once, because it may fail for ever; throttling is not an answer, and
        is waited out.
        """
        ...

    def remove(self, key: str, *, etag: bytes | None = None) -> None:
        """Remove an object; with `etag`, if the server can, only that version."""
        ...

    def erase(self, key: str) -> None:
        """Remove a trial object; where versions are kept, its own version too."""
        ...

    def restamp(self, key: str, by: PutBy, *, etag: bytes) -> Answer:
        """Replace the metadata of the version `etag`, without moving its content."""
        ...

    def can_copy_from(self, other: "Bucket") -> bool:
        """Tell whether the server can copy from there without a client."""
        ...

    def copy_from(
        self, other: "Bucket", found: Found, key: str, by: PutBy | None
    ) -> Answer:
        """Copy that version inside the server; metadata too, unless `by` replaces it.

        Objects may have any size: large ones are copied in parts.
        """
        ...

    def tags(self, key: str) -> tuple[tuple[str, str], ...]:
        """Return an object's tags; none if the server has no tags."""
        ...

    def close(self) -> None:
        """Close every connection."""
        ...


@runtime_checkable
class ByParts(Bucket, Protocol):
    """A bucket to which several processes can send parts of one object, in any order.

    Amazon's protocol can; an upload outlives the process that started it.
    """

    def begin_upload(self, key: str, by: PutBy) -> str:
        """Start a multipart upload and return its id."""
        ...

    def put_part(
        self, key: str, upload_id: str, number: int, content: bytes | memoryview
    ) -> bytes:
        """Send part `number`, from 1 on; return its etag."""
        ...

    def finish_upload(
        self,
        key: str,
        upload_id: str,
        etags: Sequence[bytes],
        crc: bytes | None = None,
    ) -> Answer:
        """Complete the object; if the answer is lost, a look at the object decides.

        MismatchError if the server gives the whole's CRC64NVME and it is not `crc`.
        """
        ...

    def abort_upload(self, key: str, upload_id: str) -> None:
        """Abort an upload and drop its parts; no error if it is gone already."""
        ...

    def uploads(self, prefix: str) -> Iterator[Upload]:
        """Yield the uploads below `prefix` that were not completed."""
        ...


@runtime_checkable
class AsStream(Bucket, Protocol):
    """A bucket to which one process sends a large object, from start to end."""

    def put_stream(
        self, key: str, chunks: Iterator[bytes | memoryview], size: int, by: PutBy
    ) -> Answer:
        """Put an object of `size` bytes, of which only a few parts are in memory.

        The object appears as a whole or not at all; an error of `chunks` is passed on.
        Only single parts are retried: `chunks` cannot go back.
        """
        ...


def keys_below(bucket: Lists, prefix: str) -> Iterator[str]:
    """Yield keys, two a request, for callers that need only the first ones.

    A page may be empty although others follow: some servers count deleted keys.
    """
    page = bucket.page(prefix, limit=2)
    yield from page.keys
    while not page.is_last:
        after = None if page.token else page.keys[-1]
        page = bucket.page(prefix, limit=2, after=after, token=page.token)
        yield from page.keys


def holds_more_than(bucket: Lists, marker: str) -> bool:
    """Tell whether there is a key below a directory, besides its own object."""
    return any(key != marker for key in keys_below(bucket, marker))
