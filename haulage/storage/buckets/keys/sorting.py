"""Sort on disk a listing that is not in path order."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from haulage.disksort import RUN_ROWS, DiskSort
from haulage.storage.buckets.keys.misnamed_keys import TWICE, Refused
from haulage.storage.buckets.keys.paths import Rows

_SORTED = pa.schema(
    [
        pa.field("path", pa.binary(), nullable=False),
        pa.field("size", pa.int64(), nullable=False),
        pa.field("etag", pa.binary()),
        pa.field("modified_ns", pa.int64(), nullable=False),
    ]
)


def in_path_order(
    pages: Iterable[Rows], spool: Path, *, run_rows: int = RUN_ROWS
) -> Iterator[tuple[Rows, Refused]]:
    """Yield all rows sorted by path, each path once; its files are in `spool`.

    Refused are paths that were listed more than once, if they may be several objects.
    """
    sort = DiskSort(spool, _SORTED, "path", run_rows=run_rows, once=False)
    for rows in pages:
        sort.add(_table(rows))
    held = _SORTED.empty_table()
    for table in sort.tables():
        held = pa.concat_tables([held, table]).combine_chunks()
        last = pc.equal(held["path"], held["path"][-1])
        if count := held.num_rows - pc.sum(last).as_py():
            yield _told(held.slice(0, count))
        held = held.slice(count)
    if held.num_rows:
        yield _told(held)


def _told(table: pa.Table) -> tuple[Rows, Refused]:
    """Return rows with each path once, and the paths of several objects.

    A key that repeats with all its fields was listed again while a page was turned. If
    it is not ASCII, it may also stand for another spelling.
    """
    rows = _rows(table)
    after = pc.equal(
        table["path"].slice(1), table["path"].slice(0, len(rows.paths) - 1)
    )
    repeated = set(table["path"].slice(1).filter(after).to_pylist())
    if not repeated:
        return rows, []
    versions: dict[bytes, set[tuple[object, ...]]] = {path: set() for path in repeated}
    for row, path in enumerate(rows.paths):
        if path in repeated:
            versions[path].add(
                (rows.sizes[row], rows.etags[row], rows.modified_ns[row])
            )
    several = {
        path for path in repeated if len(versions[path]) > 1 or not path.isascii()
    }
    kept = [
        row
        for row, path in enumerate(rows.paths)
        if path not in several and (not row or path != rows.paths[row - 1])
    ]
    return rows.pick(kept), [(path, TWICE) for path in sorted(several)]


def _table(rows: Rows) -> pa.Table:
    columns = [
        pa.array(rows.paths, pa.binary()),
        pa.array(rows.sizes, pa.int64()),
        pa.array(rows.etags, pa.binary()),
        pa.array(rows.modified_ns, pa.int64()),
    ]
    return pa.table(columns, schema=_SORTED)


def _rows(table: pa.Table) -> Rows:
    return Rows(
        table["path"].to_pylist(),
        table["size"].to_numpy(),
        table["etag"].to_pylist(),
        table["modified_ns"].to_numpy(),
    )
