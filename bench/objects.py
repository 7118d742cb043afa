"""Look into a bucket, whether a tool did its work, and clear up behind it."""

from pathlib import Path
from typing import Any, NamedTuple

from bench import proof
from bench.clients import S3
from tests.servers.s3 import S3Server

BUCKET = "bench"


class Stored(NamedTuple):
    """An object as a listing tells of it; another one, if it was written again."""

    size: int
    etag: str
    modified: str


class Objects:
    """The one bucket of a server."""

    def __init__(self, server: S3Server) -> None:
        self._client: Any = server.client()

    def make(self) -> None:
        """Make the bucket."""
        self._client.create_bucket(Bucket=BUCKET)

    def below(self, url: str) -> dict[str, Stored]:
        """Return the objects below a URL, without those that stand for directories."""
        prefix = _prefix(url)
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=BUCKET, Prefix=prefix
        )
        return {
            each["Key"].removeprefix(prefix): Stored(
                each["Size"], each["ETag"], each["LastModified"].isoformat()
            )
            for page in pages
            for each in page.get("Contents", ())
            if not each["Key"].endswith("/")
        }

    def demand_equal(self, source: Path, url: str, tool: str) -> None:
        """Raise RuntimeError unless all files are there, and samples are equal."""
        files = {name for name in proof.names(source) if not name.endswith("/")}
        stored = self.below(url)
        proof.demand_names(files, set(stored), tool)
        for name, object_ in stored.items():
            size = (source / name).lstat().st_size
            if object_.size != size:
                raise RuntimeError(
                    f"{tool}: {url}/{name} has {object_.size:,} bytes of {size:,}"
                )
        for name in proof.samples(files):
            self._demand_equal_object(source / name, f"{url}/{name}", tool)

    def clear(self, url: str) -> None:
        """Remove what is below a URL."""
        prefix = _prefix(url)
        for page in self._client.get_paginator("list_objects_v2").paginate(
            Bucket=BUCKET, Prefix=prefix
        ):
            keys = [{"Key": each["Key"]} for each in page.get("Contents", ())]
            if keys:
                wanted = {"Objects": keys, "Quiet": True}
                self._client.delete_objects(Bucket=BUCKET, Delete=wanted)

    def _demand_equal_object(self, path: Path, url: str, tool: str) -> None:
        key, size = url.removeprefix(f"{S3}{BUCKET}/"), path.lstat().st_size
        with path.open("rb") as file:
            for offset in proof.offsets(size):
                file.seek(offset)
                wanted = file.read(proof.BLOCK_BYTES)
                if not wanted:
                    continue
                span = f"bytes={offset}-{offset + len(wanted) - 1}"
                got = self._client.get_object(Bucket=BUCKET, Key=key, Range=span)
                if got["Body"].read() != wanted:
                    raise RuntimeError(f"{tool}: {url} differs behind byte {offset:,}")


def _prefix(url: str) -> str:
    return url.removeprefix(f"{S3}{BUCKET}/") + "/"
