"""Google's and Azure's buckets, as far as obstore supports them; see docs/clouds.md.

obstore has no call for parts of an object from several processes, for new metadata
without new content, or for a conditional copy.
"""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import obstore

from haulage.errors import (
    FatalError,
    MismatchError,
    PermanentError,
    RefusedError,
    TransientError,
    UnstableError,
    VanishedError,
)
from haulage.place import Place, part_bytes
from haulage.storage.buckets.faults import NoBucketError
from haulage.storage.buckets.gs_az.cloud import Cloud, open_cloud
from haulage.storage.buckets.gs_az.listing import Listing
from haulage.storage.buckets.gs_az.names import name_of
from haulage.storage.buckets.headers import attributes_of, found_in_result, tags_of
from haulage.storage.buckets.keys.paths import LAST_CHAR
from haulage.storage.buckets.pace import Pace
from haulage.storage.buckets.protocol import (
    Answer,
    AsStream,
    Bucket,
    Found,
    Keys,
    PutBy,
)
from haulage.storage.buckets.upload_proof import Proof, md5_of
from haulage.storage.store import Sums


def open_blobs(
    place: Place, environ: Mapping[str, str], pace: Pace | None = None
) -> "BlobBucket":
    """Return the bucket of a gs:// or az:// place; no request is sent yet."""
    return BlobBucket(place, open_cloud(place, environ, pace or Pace()))


class BlobBucket(AsStream):
    """A bucket of Google's or a container of Azure's."""

    def __init__(self, place: Place, cloud: Cloud) -> None:
        self._place = place
        self.cloud = cloud
        self._listing = Listing(cloud)
        self._proof = Proof("auto")

    def check(self, *, create: bool = False) -> None:
        """See Bucket; obstore cannot create a bucket."""
        try:
            self.page(self._place.prefix, limit=1)
        except NoBucketError as err:
            wish = "; create it with the cloud's own tools" if create else ""
            raise RefusedError(f"{err}{wish}") from None
        except VanishedError:
            raise RefusedError(f"{self._place.url}: no such bucket") from None
        except (FatalError, PermanentError) as err:
            raise RefusedError(str(err)) from None

    # ----------------------------------------------------------------- reading

    def page(
        self,
        prefix: str,
        *,
        after: str | None = None,
        delimiter: str | None = None,
        limit: int = 1000,
        token: str | None = None,
    ) -> Keys:
        return self._listing.page(prefix, after, delimiter, limit, token)

    def head(self, key: str) -> Found | None:
        """See Bucket; another tool's directory marker is recognised by its listing."""
        try:
            return self._fetch(key, {"head": True})[0]
        except VanishedError:
            return self._foreign_marker(key) if key.endswith("/") else None

    def _foreign_marker(self, key: str) -> Found | None:
        above = key[: key.rfind("/", 0, -1) + 1]
        page = self.page(above, after=f"{key[:-1]}.{LAST_CHAR}", limit=1)
        if list(page.keys) != [key]:
            return None
        return Found(key, 0, page.etags[0], int(page.modified_ns[0]), {})

    def get(
        self,
        key: str,
        *,
        span: tuple[int, int] | None = None,
        etag: bytes | None = None,
    ) -> tuple[Found, memoryview]:
        options: dict[str, Any] = {}
        if etag is not None:
            options["if_match"] = f'"{etag.decode()}"'
        if span is not None:
            options["range"] = (span[0], sum(span))
        found, content = self._fetch(key, options)
        wanted = found.size if span is None else span[1]
        if len(content) != wanted:
            raise TransientError(f"{key!a}: {len(content)} of {wanted} bytes arrived")
        if span is None and self._is_damaged(found.etag, content):
            raise TransientError(
                f"{key!a}: the content that arrived has another MD5 than its ETag"
            )
        return found, content

    def _fetch(self, key: str, options: dict[str, Any]) -> tuple[Found, memoryview]:
        name = name_of(key)

        def request() -> tuple[Found, memoryview]:
            result = obstore.get(self.cloud.once, name, options=options)  # type: ignore[arg-type]
            content = b"" if options.get("head") else result.bytes()
            return found_in_result(key, result), memoryview(content)

        return self.cloud.ask(request, key)

    def sums(self, found: Found) -> Sums:
        """See Bucket; obstore returns no checksum but the etag."""
        return Sums()

    def tags(self, key: str) -> tuple[tuple[str, str], ...]:
        """See Bucket; Google has none, and obstore does not read Azure's."""
        return ()

    # ----------------------------------------------------------------- writing

    def put(self, key: str, content: bytes | memoryview, by: PutBy) -> Answer:
        """See Bucket; Google confirms the content's MD5, Azure nothing."""
        name, options = name_of(key), self._options(key, by)
        if content and key.endswith("/"):
            raise PermanentError(f"{key!a}: a key that ends in '/' can hold no data")
        made = self.cloud.ask(
            lambda: obstore.put(
                self.cloud.once, name, content, use_multipart=False, **options
            ),
            key,
        )
        etag = _etag(made)
        return Answer(etag, self._is_proven(key, etag, content))

    def put_trial(self, key: str) -> None:
        self.put(key, b"", PutBy({}))

    def put_stream(
        self, key: str, chunks: Iterator[bytes | memoryview], size: int, by: PutBy
    ) -> Answer:
        name, options = name_of(key), self._options(key, by)
        part = part_bytes(size)
        with ThreadPoolExecutor(1, "read") as ahead:
            made = self.cloud.ask_once(
                lambda: obstore.put(
                    self.cloud.patient,
                    name,
                    _elsewhere(ahead, _counted(key, chunks, size)),
                    use_multipart=True,
                    chunk_size=part,
                    max_concurrency=max(1, self._place.memory_bytes // part - 1),
                    **options,
                ),
                key,
            )
        return Answer(_etag(made), proven=False)

    def _options(self, key: str, by: PutBy) -> dict[str, Any]:
        attributes = attributes_of(self._place, by)
        if attributes is None:
            raise PermanentError(
                f"{key!a}: its metadata has the name of a header, which cannot be kept"
            )
        tags = tags_of(self._place, by)
        if not self.cloud.takes_tags:
            return {"attributes": attributes}
        for name in by.metadata:
            if not (name.isascii() and name.isidentifier()):
                raise PermanentError(
                    f"{key!a}: Azure takes no metadata with the name {name!a}: only "
                    f"letters, digits and '_'"
                )
        return {"attributes": attributes} | ({"tags": tags} if tags else {})

    def remove(self, key: str, *, etag: bytes | None = None) -> None:
        """See Bucket; obstore removes whatever version is there."""
        name = name_of(key)
        with suppress(VanishedError):
            self.cloud.ask(lambda: obstore.delete(self.cloud.once, name), key)

    def erase(self, key: str) -> None:
        """See Bucket; obstore does not know versions."""
        self.remove(key)

    # ------------------------------------------------------- inside the cloud

    def restamp(self, key: str, by: PutBy, *, etag: bytes) -> Answer:
        """See Bucket; without a call for it, the content is read and written again."""
        found = self.head(key)
        if found is None:
            raise VanishedError(f"{key!a} is gone")
        if found.etag != etag:
            raise UnstableError(f"{key!a}: another version is there now")
        return self._pass_through(found, key, by)

    def can_copy_from(self, other: Bucket) -> bool:
        """See Bucket; obstore copies inside one bucket only."""
        return isinstance(other, BlobBucket) and self.cloud.is_same(other.cloud)

    def copy_from(
        self, other: Bucket, found: Found, key: str, by: PutBy | None
    ) -> Answer:
        """See Bucket; the version is checked after the copy, which has no condition."""
        if by is not None:
            return self._pass_through(found, key, by)
        name, source = name_of(key), name_of(found.key)
        self.cloud.ask(lambda: obstore.copy(self.cloud.once, source, name), found.key)
        now, made = self.head(found.key), self.head(key)
        if now is None or now.etag != found.etag:
            raise UnstableError(f"{found.key!a}: it was replaced while it was copied")
        if made is None or made.size != found.size:
            raise MismatchError(
                f"{key!a}: the copy has {made.size if made else 'no'} bytes, and "
                f"{found.key!a} has {found.size}"
            )
        same = self.cloud.etag_is_md5 and made.etag == found.etag
        return Answer(made.etag, proven=same)

    def _pass_through(self, found: Found, key: str, by: PutBy) -> Answer:
        """Read that version and write it again with other metadata."""
        step = part_bytes(found.size)
        if found.size <= step:
            return self.put(key, self.get(found.key, etag=found.etag)[1], by)
        starts = range(0, found.size, step)
        chunks = (
            self.get(found.key, span=(at, min(step, found.size - at)), etag=found.etag)[
                1
            ]
            for at in starts
        )
        return self.put_stream(key, chunks, found.size, by)

    def close(self) -> None:
        self._listing.close()

    # ------------------------------------------------------------------- proof

    def _is_proven(self, key: str, etag: bytes, content: bytes | memoryview) -> bool:
        """Tell whether the etag proves the content; MismatchError if it differs."""
        if not self.cloud.etag_is_md5:
            return False
        if self._proof.matches(etag, md5_of(content)):
            return True
        if not self._proof.expects_md5(etag):
            return False
        if self._fetch(key, {})[1] != memoryview(content):
            raise MismatchError(
                f"{key!a}: the server stored other content than the {len(content)} "
                "bytes that were sent"
            )
        self._proof.explain()
        return True

    def _is_damaged(self, etag: bytes, content: memoryview) -> bool:
        """Tell whether the etag says that this is not the stored content."""
        if not self.cloud.etag_is_md5 or not self._proof.expects_md5(etag):
            return False
        return not self._proof.matches(etag, md5_of(content))


def _etag(made: Any) -> bytes:  # noqa: ANN401  obstore's PutResult is for checkers only
    return str(made["e_tag"] or "").strip('"').encode()


def _elsewhere(
    ahead: ThreadPoolExecutor, chunks: Iterator[bytes | memoryview]
) -> Iterator[bytes | memoryview]:
    """Yield the chunks, each one made in another thread.

    obstore asks for them in a thread where none of its own calls can be made, and
    chunks of another bucket come from such a call.
    """
    while chunk := ahead.submit(next, chunks, None).result():
        yield chunk


def _counted(
    key: str, chunks: Iterator[bytes | memoryview], size: int
) -> Iterator[bytes | memoryview]:
    """Yield the chunks; UnstableError before an object of another size is made."""
    came = 0
    for chunk in filter(len, chunks):
        came += len(chunk)
        yield chunk
    if came != size:
        raise UnstableError(f"{key!a}: {came} of {size} bytes were available to send")
