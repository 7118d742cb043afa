"""Sorts on disk what a server lists in another order than that of the paths."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa

from haulage.storage.disksort import RUN_ROWS, DiskSort
from haulage.storage.keys.paths import Rows

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
) -> Iterator[Rows]:
    """Yield all rows sorted by path, each path once; keeps what it must in `spool`."""
    sort = DiskSort(spool, _SORTED, "path", run_rows=run_rows)
    for rows in pages:
        sort.add(_table(rows))
    for table in sort.tables():
        yield _rows(table)


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
