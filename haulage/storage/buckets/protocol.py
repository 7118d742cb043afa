"""What is asked of a bucket, whichever cloud it is in; keys are whole keys, as text.

`s3` answers for Amazon's protocol, `blobs` for Google's and Azure's. Each request is
tried again and slowed down in there (`pace`), and each error is sorted in there
(`faults`): VanishedError for what is not there, UnstableError for another version than
asked for, PermanentError for one key, FatalError for the bucket and the credentials.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np

from haulage.errors import RefusedError
from haulage.storage.store import NOTHING_CARRIED, Carried, Sums


class MissingBucketError(RefusedError):
    """There is no such bucket, and nobody asked for it to be made."""


class Found(NamedTuple):
    """An object, as its headers say. Times are nanoseconds since the epoch."""

    key: str
    size: int
    etag: bytes  # with its quotes off
    modified_ns: int
    metadata: Mapping[str, str]  # keys in lower case
    carried: Carried = NOTHING_CARRIED  # without tags, which are asked for apart
    multipart: bool = False  # so that the etag is no MD5 of the content


@dataclass(frozen=True, slots=True)
class Keys:
    """One page of a listing, in the order in which the server gave it.

    Row i of the arrays belongs to `keys[i]`. `prefixes` are what a delimiter rolled up.
    `token` goes on exactly behind this page, whatever order the server keeps. With
    `replaced`, U+FFFD in a key may stand for what the answer could not hold.
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
    """Everything of a new object that is not its content."""

    metadata: Mapping[str, str]
    carried: Carried = NOTHING_CARRIED


class Answer(NamedTuple):
    """What a server said of an object that was made.

    `proven` tells that it confirmed a checksum of the content that we sent.
    """

    etag: bytes
    proven: bool


class Upload(NamedTuple):
    """A multipart upload that was begun and not completed."""

    key: str
    upload_id: str
    began_ns: int


class Lists(Protocol):
    """The part of a bucket by which it is listed."""

    def page(
        self,
        prefix: str,
        *,
        after: str | None = None,
        delimiter: str | None = None,
        limit: int = 1000,
        token: str | None = None,
    ) -> Keys:
        """List the keys below `prefix` that come behind `after`, `limit` at most.

        With the `token` of the page before, `after` is what it was for that page.
        """
        ...


class Bucket(Lists, Protocol):
    """One bucket; every method may be called from any thread."""

    def check(self, *, create: bool = False) -> None:
        """Make sure that the bucket is there and ours; RefusedError says what is not.

        `create` makes it if it is missing, else that is a MissingBucketError where one
        could be made.
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

        TransientError when what came is not what the headers say: its length, or,
        of a whole object, the checksum that the server keeps. With `etag` any other
        version is an UnstableError.
        """
        ...

    def sums(self, found: Found) -> Sums:
        """Return what proves that version when it is read in ranges of `part_bytes`.

        It may cost a request or two.
        """
        ...

    def put(self, key: str, content: bytes | memoryview, by: PutBy) -> Answer:
        """Make an object; its checksum is sent along, and the answer's etag compared.

        MismatchError when the server stored something else.
        """
        ...

    def put_trial(self, key: str) -> None:
        """Make an empty object, only to learn whether the server takes such a key.

        It is tried once, because that may fail for ever; throttling is no answer to it,
        and is waited out.
        """
        ...

    def remove(self, key: str, *, etag: bytes | None = None) -> None:
        """Remove an object; with `etag`, where the server can, only that version."""
        ...

    def erase(self, key: str) -> None:
        """Remove an object that was a trial; where versions are kept, its own too."""
        ...

    def restamp(self, key: str, by: PutBy, *, etag: bytes) -> Answer:
        """Give the version `etag` other metadata, without moving its content."""
        ...

    def can_copy_from(self, other: "Bucket") -> bool:
        """Tell whether the server can copy from there by itself."""
        ...

    def copy_from(
        self, other: "Bucket", found: Found, key: str, by: PutBy | None
    ) -> Answer:
        """Copy that version inside the server; metadata too, unless `by` replaces it.

        Objects of any size: in parts where one request is not enough.
        """
        ...

    def tags(self, key: str) -> tuple[tuple[str, str], ...]:
        """Return an object's tags; none where the server has no such thing."""
        ...

    def close(self) -> None:
        """Let go of every connection."""
        ...


@runtime_checkable
class ByParts(Bucket, Protocol):
    """A bucket where several processes can send the parts of one object, in any order.

    Amazon's protocol has that; what was begun outlives whoever began it.
    """

    def begin_upload(self, key: str, by: PutBy) -> str:
        """Begin a multipart upload and return its id."""
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
        """Make the object of its parts; a lost answer is found out by looking.

        MismatchError if the whole's CRC64NVME is told and is not `crc`.
        """
        ...

    def abort_upload(self, key: str, upload_id: str) -> None:
        """Drop an upload and its parts; one that is gone already is no error."""
        ...

    def uploads(self, prefix: str) -> Iterator[Upload]:
        """Yield the uploads below `prefix` that nobody has completed."""
        ...


@runtime_checkable
class AsStream(Bucket, Protocol):
    """A bucket where one process sends a large object, from its begin to its end."""

    def put_stream(
        self, key: str, chunks: Iterator[bytes | memoryview], size: int, by: PutBy
    ) -> Answer:
        """Make an object of `size` bytes, of which no more than a few parts are held.

        It is there as a whole or not at all; an error of `chunks` comes through as it
        is. Nothing is tried again in here but single parts: `chunks` cannot go back.
        """
        ...


def keys_below(bucket: Lists, prefix: str) -> Iterator[str]:
    """Yield keys, two a request, for whoever needs no more than the first ones.

    A page may be empty although others follow: some servers count what was deleted.
    """
    page = bucket.page(prefix, limit=2)
    yield from page.keys
    while not page.is_last:
        after = None if page.token else page.keys[-1]
        page = bucket.page(prefix, limit=2, after=after, token=page.token)
        yield from page.keys


def holds_more_than(bucket: Lists, marker: str) -> bool:
    """Tell whether a key stands below a directory, beside its own object."""
    return any(key != marker for key in keys_below(bucket, marker))
