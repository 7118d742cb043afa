"""A prefix of a bucket, and Haulage at work between it and others."""

import subprocess
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from haulage.cli.arguments import dataset_of, once_of
from haulage.cli.parser import parser_for
from haulage.run import sequence
from haulage.run.context.runner import ThreadRunner
from tests.catalogs import migrate_early
from tests.e2e.place import Ended, Place
from tests.e2e.processes import start
from tests.servers.faults import Rule, Seen
from tests.servers.proxy import Proxy, proxy
from tests.servers.s3 import S3Server

GUARDED = ("--delete", "guarded", "--max-delete-share", "1")
SMALL = ("--movers", "1", "--listers", "1")


@dataclass(frozen=True)
class Shelf:
    """What a test keeps below one prefix; `near` is the server without a proxy."""

    server: S3Server
    bucket: str
    prefix: str = "data/"
    near: S3Server | None = None

    @property
    def url(self) -> str:
        """Return where it is, as the command line takes it."""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    def options(self, end: str) -> list[str]:
        """Return the options that lead one end here."""
        return [
            *(f"--{end}-endpoint", self.server.endpoint),
            *(f"--{end}-region", self.server.region),
        ]

    def behind(self, endpoint: str) -> "Shelf":
        """Return the same shelf for Haulage to reach elsewhere."""
        return replace(self, server=self.server.at(endpoint), near=self.server)

    @property
    def client(self) -> Any:
        """Return a client of the server itself."""
        return (self.near or self.server).client()

    def put(self, key: str, content: bytes = b"content", **more: Any) -> None:
        """Make an object as somebody else does."""
        self.client.put_object(
            Bucket=self.bucket, Key=self.prefix + key, Body=content, **more
        )

    def get(self, key: str) -> bytes:
        """Return an object's content."""
        got = self.client.get_object(Bucket=self.bucket, Key=self.prefix + key)
        content: bytes = got["Body"].read()
        return content

    def head(self, key: str) -> dict[str, Any]:
        """Return what is known of an object."""
        told: dict[str, Any] = self.client.head_object(
            Bucket=self.bucket, Key=self.prefix + key
        )
        return told

    def remove(self, key: str) -> None:
        """Remove an object as somebody else does."""
        self.client.delete_object(Bucket=self.bucket, Key=self.prefix + key)

    def etags(self) -> dict[str, str]:
        """Return every key below the prefix with its etag, but for Haulage's mark."""
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=self.prefix
        )
        return {
            row["Key"].removeprefix(self.prefix): row["ETag"].strip('"')
            for page in pages
            for row in page.get("Contents", [])
            if not row["Key"].startswith(f"{self.prefix}.haulage-state-")
        }

    def uploads(self) -> list[str]:
        """Return the keys of the uploads that nobody has completed."""
        told = self.client.list_multipart_uploads(Bucket=self.bucket)
        return [row["Key"] for row in told.get("Uploads", [])]


End = Path | Shelf


@dataclass(frozen=True)
class Route:
    """A source and a target of one dataset, and the commands on them."""

    place: Place
    source: End
    target: End
    words: tuple[str, ...] = SMALL
    trusting: bool = True  # of the metadata that comes into a directory

    def command(self, *options: str) -> list[str]:
        """Return the words of a sync."""
        return [
            "sync",
            *(_shown(self.source), _shown(self.target)),
            *("--name", self.place.name, "--json"),
            *_options(self.source, "source"),
            *_options(self.target, "target"),
            *(["--trust-metadata"] if self._may_trust and self.trusting else []),
            *self.words,
            *options,
        ]

    @property
    def _may_trust(self) -> bool:
        return isinstance(self.source, Shelf) and isinstance(self.target, Path)

    def sync(self, *options: str) -> Ended:
        """Sync, to its end."""
        return self.place.haulage(*self.command(*options))

    def synced(self, *options: str) -> dict[str, Any]:
        """Sync in this process without any failure and return the summary."""
        words = self.command(*options)
        args = parser_for(words).parse_args(words)
        migrate_early(self.place.catalog_url)
        summary = sequence.sync(
            dataset_of(args, args.source, args.target),
            ThreadRunner(),
            once=once_of(args),
            catalog_url=self.place.catalog_url,
        )
        assert summary.exit_code == 0, (summary, self.reasons())
        return summary.as_dict()

    def start(self, *options: str) -> subprocess.Popen[bytes]:
        """Begin a sync and return at once."""
        return start(self.place, *self.command(*options))

    def resume(self) -> Ended:
        """Go on with the newest run."""
        return self.place.haulage("resume", self.place.last_run().id, "--json")

    def reasons(self) -> dict[bytes, str]:
        """Return why entries failed in the newest run."""
        return {path: why.reason for path, why in self.place.failures().items()}


def _shown(end: End) -> str:
    return end.url if isinstance(end, Shelf) else str(end)


def _options(end: End, name: str) -> list[str]:
    return end.options(name) if isinstance(end, Shelf) else []


def acted_on(summary: dict[str, Any]) -> int:
    """Return how many entries a run did anything about."""
    names = ("copied", "updated", "made", "deleted", "kept", "failed")
    return sum(int(summary[name]) for name in names)


@dataclass
class Watch:
    """Proxies before the servers of a test."""

    stack: ExitStack
    proxies: list[Proxy] = field(default_factory=list)

    def before(self, shelf: Shelf, *rules: Rule) -> tuple[Shelf, Proxy]:
        """Return the shelf behind a proxy of its own, and the proxy."""
        made = self.stack.enter_context(proxy(shelf.server.endpoint, *rules))
        return shelf.behind(made.endpoint), made


class Count:
    """What came by a proxy since this was made."""

    def __init__(self, watched: Proxy) -> None:
        """Begin to count now."""
        self._proxy = watched
        self._before = len(watched.seen())

    def seen(self) -> list[Seen]:
        """Return the requests, in their order."""
        return self._proxy.seen()[self._before :]

    def of_objects(self) -> list[Seen]:
        """Return the requests for one object each, so no listings."""
        return [seen for seen in self.seen() if seen.path.count("/") > 1 and _key(seen)]


def _key(seen: Seen) -> str:
    return seen.path.strip("/").partition("/")[2]
