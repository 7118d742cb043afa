"""Copies within the server, in one request or part by part."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, NamedTuple

from haulage.errors import TransientError, UnstableError
from haulage.storage.buckets.headers import (
    etag_in,
    found_in_headers,
    kept_parameters,
    parameters_of,
    target_parameters,
)
from haulage.storage.buckets.protocol import Answer, Found, PutBy
from haulage.storage.buckets.s3.connection.reach import Reach
from haulage.storage.buckets.s3.read import Reader
from haulage.storage.buckets.s3.tagging import Tags
from haulage.storage.buckets.s3.uploads import Uploads, call_client

_PART_BYTES = 512 << 20  # 10,000 of them are 5 TB
_THREADS = 8


class From(NamedTuple):
    """The version of an object to copy."""

    bucket: str
    found: Found

    @property
    def parameters(self) -> dict[str, Any]:
        """Return the source in the form of botocore's calls."""
        return {
            "CopySource": {"Bucket": self.bucket, "Key": self.found.key},
            "CopySourceIfMatch": f'"{self.found.etag.decode()}"',
        }


class Copies:
    """Copies into one bucket; above `at_once_bytes` in parts."""

    def __init__(
        self, reach: Reach, reader: Reader, uploads: Uploads, at_once_bytes: int
    ) -> None:
        self._reach = reach
        self._reader = reader
        self._uploads = uploads
        self._at_once_bytes = at_once_bytes

    def restamp(
        self, key: str, by: PutBy, etag: bytes, tags: Callable[[], Tags]
    ) -> Answer:
        """Replace an object's metadata; its storage class and encryption stay.

        So do its own tags, which the place's would otherwise replace.
        """
        headers = self._reader.raw_headers(key)
        found = found_in_headers(key, headers)
        if found.etag != etag:  # not every server looks at CopySourceIfMatch
            raise UnstableError(
                f"{self._reach.named('restamp', key)}: its etag is "
                f"{found.etag.decode()}, it was {etag.decode()}"
            )
        source = From(self._reach.address.bucket, found)
        is_large = found.size > self._at_once_bytes
        if self._reach.place.tags or is_large:
            own = by.carried.tags or tags()
            by = by._replace(carried=replace(by.carried, tags=own))
        return self._copy(source, key, by, kept_parameters(headers))

    def copy(
        self, source: From, tags: Callable[[], Tags], key: str, by: PutBy | None
    ) -> Answer:
        """Copy content, and metadata and tags too unless `by` replaces them."""
        if by is None and source.found.size > self._at_once_bytes:
            carried = replace(source.found.carried, tags=tags())
            by = PutBy(source.found.metadata, carried)
        return self._copy(source, key, by, {})

    def _copy(
        self, source: From, key: str, by: PutBy | None, kept: Mapping[str, str]
    ) -> Answer:
        place = self._reach.place
        if by is not None and source.found.size > self._at_once_bytes:
            return self._by_parts(source, key, {**kept, **parameters_of(place, by)})
        values = source.parameters | dict(kept)
        if by is None:
            values |= target_parameters(place)
        else:
            values |= parameters_of(place, by)
            values["MetadataDirective"] = "REPLACE"
            if "Tagging" in values:
                values["TaggingDirective"] = "REPLACE"
        told = call_client(self._reach, "copy_object", key, **values)
        etag = self._etag_of(told.get("CopyObjectResult"), key)
        return Answer(etag, proven=etag == source.found.etag)

    def _etag_of(self, result: dict[str, Any] | None, key: str) -> bytes:
        """Return the etag of a copy; some servers do not return it."""
        if result and result.get("ETag"):
            return etag_in(result)
        found = self._reader.head(key)
        if found is None:
            raise TransientError(f"{self._reach.named('the copy', key)} is gone")
        return found.etag

    def _by_parts(self, source: From, key: str, values: dict[str, Any]) -> Answer:
        upload_id = self._uploads.begin(key, values)
        try:
            etags = self._copy_parts(source, key, upload_id)
            return self._uploads.finish(key, upload_id, etags)
        except BaseException:
            self._uploads.abort(key, upload_id)
            raise

    def _copy_parts(self, source: From, key: str, upload_id: str) -> list[bytes]:
        def copy_part(part: tuple[int, str]) -> bytes:
            told = call_client(
                self._reach,
                "upload_part_copy",
                key,
                UploadId=upload_id,
                PartNumber=part[0],
                CopySourceRange=part[1],
                **source.parameters,
            )
            return etag_in(told["CopyPartResult"])

        length = min(_PART_BYTES, self._at_once_bytes)
        parts = enumerate(_ranges(source.found.size, length), 1)
        with ThreadPoolExecutor(_THREADS) as threads:
            return list(threads.map(copy_part, parts))


def _ranges(size: int, length: int) -> Iterator[str]:
    for start in range(0, size, length):
        yield f"bytes={start}-{min(start + length, size) - 1}"
