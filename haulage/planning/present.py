"""Find the entries of a manifest that a store still holds, by a listing of it."""

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from haulage.model import DEVICES, MANIFEST, Kind, Verified, mtime_made
from haulage.planning.columns import is_file, with_columns
from haulage.planning.match_listing import Known, match

_TIME = ("mtime_s", "mtime_ns")


def present(
    listing: Iterable[pa.Table], known: Iterable[pa.Table], *, is_bucket: bool
) -> Iterator[pa.Table]:
    """Yield the known entries that are listed as they were made.

    An object's version proves its content; a file must be verified again.
    """
    ours = Known(known)
    for page in listing:
        if not page.num_rows:
            continue
        for part, window, _ in ours.beside(page):
            row, _gone = match(part["path"], window["path"])
            found = np.flatnonzero(row >= 0)
            there, was = part.take(found), window.take(row[found])
            kept = was.filter(pa.array(_is_as_made(there, was, is_bucket=is_bucket)))
            yield kept if is_bucket else _unproven(kept)


def _unproven(entries: pa.Table) -> pa.Table:
    rows = entries.num_rows
    return with_columns(
        entries,
        checksum=pa.nulls(rows, MANIFEST.field("checksum").type),
        verified=pa.array(np.full(rows, Verified.NONE, np.uint8)),
    )


def _is_as_made(there: pa.Table, was: pa.Table, *, is_bucket: bool) -> np.ndarray:
    kind = was["kind"].to_numpy()
    if is_bucket:
        made: np.ndarray = (
            _equal(there["etag"], was["made"]) & was["made"].is_valid().to_numpy()
        )
        made |= (kind == Kind.DIR) & (there["kind"].to_numpy() == Kind.DIR)
        return made
    same: np.ndarray = there["kind"].to_numpy() == kind
    has_target = np.isin(kind, (Kind.SYMLINK, *DEVICES))
    same &= ~has_target | _equal(there["target"], was["target"])
    size = there["size"].to_numpy() == was["size"].to_numpy()
    same &= ~is_file(was) | (size & _has_its_time(there, was))
    return same


def _has_its_time(there: pa.Table, was: pa.Table) -> np.ndarray:
    same: np.ndarray = np.logical_and.reduce(
        [there[name].to_numpy() == was[name].to_numpy() for name in _TIME]
    )
    for row in np.flatnonzero(was["made"].is_valid().to_numpy()):
        found = there["mtime_s"][row].as_py(), there["mtime_ns"][row].as_py()
        same[row] = mtime_made(was["made"][row].as_py()) == found
    return same


def _equal(now: pa.ChunkedArray, was: pa.ChunkedArray) -> np.ndarray:
    equal = pc.equal(pc.fill_null(now, b""), pc.fill_null(was, b""))
    found: np.ndarray = equal.to_numpy().astype(np.bool_)
    return found
