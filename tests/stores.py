"""Stores of both kinds for tests, and an attempt between two of them."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from haulage.config.striping import NO_RULES
from haulage.place import Place
from haulage.storage.buckets.objects.store import Objects
from haulage.storage.tree.descent import Descent
from haulage.storage.tree.store import Files, Settings
from haulage.verbs.attempt.attempt import Attempt, Room
from tests.servers.s3 import S3Server
from tests.storage.s3_opening import opened

MIB = 1 << 20
PART = 16 * MIB
RANGE = 1 << 16  # what the fixture `small_ranges` makes of it


@dataclass
class Shelf:
    """One root, and every store that a test opens on it, each as another attempt."""

    name: str
    open: Callable[..., Any]
    root: Path | None = None
    bucket: Any = None


def files_shelf(home: Path) -> Shelf:
    """Return a directory tree."""
    root = home / "tree"
    root.mkdir(parents=True)

    def opening(token: str = "abcdefabcdef", **wanted: Any) -> Files:
        settings = Settings(
            temp=b".haulage-%s-" % token.encode(),
            split=b".haulage-0123456789ab-",
            fsync=wanted.get("fsync", False),
            ranges=wanted.get("ranges", home / "ranges"),
            check=lambda: None,
            rules=wanted.get("rules", NO_RULES),
        )
        return Files(Descent(str(root)), settings)

    return Shelf("files", opening, root=root)


def objects_shelf(server: S3Server, name: str, home: Path, prefix: str = "") -> Shelf:
    """Return a prefix of a bucket."""
    bucket = opened(server, name)
    markers = server.name != "rclone"

    def opening(token: str = "", **wanted: Any) -> Objects:
        url = f"s3://{name}/{wanted.get('prefix', prefix)}"
        place = Place(url, endpoint=server.endpoint, markers=markers)
        return Objects(bucket, place, wanted.get("ranges", home / "ranges"))

    return Shelf(server.name, opening, bucket=bucket)


@contextmanager
def carrying(source: Any, target: Any, **fields: Any) -> Iterator[Attempt]:
    """Give an attempt between two stores; its room must be whole again at the end."""
    limit = fields.pop("room_bytes", 64 * MIB)
    values: dict[str, Any] = {
        "hashing": True,
        "verifies_content": True,
        "cancelled": lambda: False,
        "room": Room(limit),
        "ranges": ThreadPoolExecutor(4, "range"),
    }
    attempt = Attempt(source, target, **(values | fields))
    try:
        yield attempt
        assert attempt.room.try_take(limit), "some room was not given back"
        attempt.room.give_back(limit)
    finally:
        attempt.ranges.shutdown()
        attempt.source.close()
        attempt.target.close()


def open_descriptors() -> int:
    """Return how many descriptors this process has."""
    return len(os.listdir("/proc/self/fd"))
