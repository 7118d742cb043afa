"""Sample entries of an endpoint, to tell whether it matches the manifest.

Some are taken from all over the manifest, others from what changed last: a target that
was rolled back, or is another disk, lacks those.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from haulage.catalog.manifests.reader import Manifest, PageRef
from haulage.errors import BrokenPageError
from haulage.model import MANIFEST, Kind, mtime_made
from haulage.place import Place
from haulage.run.context.endpoints import Pair
from haulage.storage.buckets.keys.paths import key_of
from haulage.storage.tree.descent import Descent
from haulage.storage.tree.files import kind_of, stat_in

_PAGES = 3
_PATHS_A_PAGE = 8
_COLUMNS = ("path", "kind", "size", "mtime_s", "mtime_ns", "ctime_s", "made")
_AT_ONCE = 8  # requests to a bucket


class Sampled(NamedTuple):
    """An entry of the manifest, as far as it is checked."""

    path: bytes
    kind: int
    size: int
    mtime: tuple[int, int]  # that its file has in the target
    made: bytes | None


class Looked(NamedTuple):
    """How many entries were sampled, exist, and are as Haulage made them."""

    wanted: int
    there: int
    as_made: int


def sample(manifest: Manifest) -> list[Sampled]:
    """Return entries spread over the manifest, and some that changed last."""
    found = dict[bytes, Sampled]()
    pages = manifest.pages
    for page in pages[:: max(1, (len(pages) - 1) // (_PAGES - 1))][:_PAGES]:
        rows = _rows(manifest, page)
        found |= _by_path(rows[:: max(1, rows.num_rows // _PATHS_A_PAGE)])
    for page in sorted(pages, key=lambda ref: ref.id)[-_PAGES:]:
        rows = _rows(manifest, page)
        newest = pc.select_k_unstable(
            rows, k=_PATHS_A_PAGE, sort_keys=[("ctime_s", "descending")]
        )
        found |= _by_path(rows.take(newest))
    return list(found.values())


def _rows(manifest: Manifest, page: PageRef) -> pa.Table:
    try:
        rows = manifest.read(page, _COLUMNS)
    except BrokenPageError:  # whoever needs its entries says so
        return MANIFEST.empty_table().select(_COLUMNS)
    return rows.filter(pc.not_equal(rows["path"], pa.scalar(b"", pa.binary())))


def _by_path(rows: pa.Table) -> dict[bytes, Sampled]:
    return {
        row["path"]: Sampled(
            row["path"],
            row["kind"],
            row["size"],
            mtime_made(row["made"]) or (row["mtime_s"], row["mtime_ns"]),
            row["made"],
        )
        for row in rows.to_pylist()
    }


def look(pair: Pair, place: Place, wanted: list[Sampled]) -> Looked:
    """Look for the entries at one endpoint; if none may be read, all count as equal."""
    if place.is_bucket:
        return _look_in_bucket(pair, place, wanted)
    try:
        root = Descent(place.url)
    except FileNotFoundError:
        return Looked(len(wanted), 0, 0)
    there = as_made = 0
    try:
        for one in wanted:
            found = stat_in(root, one.path)
            there += found is not None
            as_made += found is not None and _is_as_made(one, found)
    except OSError:
        return Looked(len(wanted), len(wanted), len(wanted))
    finally:
        root.close()
    return Looked(len(wanted), there, as_made)


def _is_as_made(one: Sampled, found: os.stat_result) -> bool:
    if kind_of(found.st_mode) != one.kind:
        return False
    if one.kind != Kind.FILE:
        return True
    mtime = divmod(found.st_mtime_ns, 1_000_000_000)
    return found.st_size == one.size and mtime == one.mtime


def _look_in_bucket(pair: Pair, place: Place, wanted: list[Sampled]) -> Looked:
    """Request objects whose version is known; directories may have no object."""
    bucket = pair.bucket(place)
    objects = [one for one in wanted if one.made and one.kind != Kind.DIR]
    keys = [key_of(one.path, place.prefix) for one in objects]
    with ThreadPoolExecutor(_AT_ONCE) as lanes:
        found = list(lanes.map(bucket.head, keys))
    there = [
        (one, head)
        for one, head in zip(objects, found, strict=True)
        if head is not None
    ]
    as_made = sum(one.made == head.etag for one, head in there)
    return Looked(len(objects), len(there), as_made)
