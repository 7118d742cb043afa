"""Restore the watch over mount points of a resumed listing."""

import json
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from haulage.catalog.manifests.reader import Manifest
from haulage.planning.listing.mounts import AWAY, Devices, Mounts
from haulage.storage.tree.descent import Descent
from haulage.storage.tree.files import stat_in


def mounts_of(
    source: str, manifest: Manifest, after: bytes | None, unreadable: Path
) -> Mounts:
    """Return the watch over a listing of `source` that starts after `after`.

    `unreadable` is the run's file of directories that could not be listed.
    """
    return Mounts(list(_above(source, manifest, after)), list(_away(unreadable)))


def _away(unreadable: Path) -> Iterator[bytes]:
    try:
        lines = unreadable.read_bytes().splitlines()
    except FileNotFoundError:
        return
    for path, _, reason in map(json.loads, lines):
        if reason == AWAY:
            yield bytes.fromhex(path)


def _above(source: str, manifest: Manifest, after: bytes | None) -> Iterator[Devices]:
    """Yield the directories above the first entry that comes after `after`."""
    if after is None:
        return
    root = Descent(source)
    try:
        at = 0
        while at >= 0:
            path = after[: at + 1] if at else b""
            found, was = stat_in(root, path), _device_of(manifest, path)
            if found is not None and was is not None:
                yield Devices(path, was, found.st_dev)
            at = after.find(b"/", at + 1)
    finally:
        root.close()


def _device_of(manifest: Manifest, path: bytes) -> int | None:
    at = bisect_right([ref.first for ref in manifest.pages], path) - 1
    if at < 0:
        return None
    table = manifest.read(manifest.pages[at], ["path", "dev"])
    found = table.filter(pc.equal(table["path"], pa.scalar(path, pa.binary())))
    return found["dev"][0].as_py() if found.num_rows else None
