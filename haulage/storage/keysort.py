"""Sorts on disk what a server lists in another order than that of the paths."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from haulage.storage.keys import Rows

_SORTED = pa.schema(
    [
        pa.field("path", pa.binary(), nullable=False),
        pa.field("size", pa.int64(), nullable=False),
        pa.field("etag", pa.binary()),
        pa.field("modified_ns", pa.int64(), nullable=False),
    ]
)
_RUN_ROWS = 200_000  # sorted in memory at once: some 50 MB
_BATCH_ROWS = 2048  # of each run that is merged
_MOST_RUNS = 32  # merged at once


def in_path_order(
    pages: Iterable[Rows], spool: Path, *, run_rows: int = _RUN_ROWS
) -> Iterator[Rows]:
    """Yield all rows sorted by path, each path once; keeps what it must in `spool`."""
    runs = _Runs(spool)
    held: list[pa.Table] = []
    for rows in pages:
        held.append(_table(rows))
        if sum(table.num_rows for table in held) >= run_rows:
            runs.add(_sorted_batches(held))
            held = []
    runs.add(_sorted_batches(held))
    for table in runs.merged():
        yield _rows(table)


class _Runs:
    """Sorted files; the oldest are merged to one when there are too many."""

    def __init__(self, spool: Path) -> None:
        self._spool = spool
        self._files: list[Path] = []
        self._made = 0

    def add(self, tables: Iterable[pa.Table]) -> None:
        file = self._spool / f"sorted-{self._made}.arrow"
        self._made += 1
        with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_file(sink, _SORTED) as out:
            for table in tables:
                out.write_table(table, max_chunksize=_BATCH_ROWS)
        self._files.append(file)

    def merged(self) -> Iterator[pa.Table]:
        """Yield everything in order, and remove the files."""
        while len(self._files) > _MOST_RUNS:
            first = self._files[:_MOST_RUNS]
            self.add(_merge(first))
            self._files = self._files[_MOST_RUNS:]
            _remove(first)
        yield from _merge(self._files)
        _remove(self._files)


def _remove(files: list[Path]) -> None:
    for file in files:
        file.unlink()


def _batches(file: Path) -> Iterator[pa.Table]:
    with pa.OSFile(str(file), "rb") as source:
        reader = pa.ipc.open_file(source)
        for number in range(reader.num_record_batches):
            table = pa.Table.from_batches([reader.get_batch(number)])
            if table.num_rows:
                yield table


def _merge(files: list[Path]) -> Iterator[pa.Table]:
    """Yield sorted tables: each time what is certain by the heads of all files."""
    readers = [_batches(file) for file in files]
    heads = [(next(reader, None), reader) for reader in readers]
    live = [(head, reader) for head, reader in heads if head is not None]
    last: bytes | None = None
    while live:
        bound = min(head["path"][-1].as_py() for head, _ in live)
        taken, left = [], []
        for head, reader in live:
            cut = pc.sum(pc.less_equal(head["path"], bound)).as_py()
            taken.append(head.slice(0, cut))
            rest = head.slice(cut) if cut < head.num_rows else next(reader, None)
            if rest is not None:
                left.append((rest, reader))
        live = left
        table = _once(_sorted(taken), last)
        last = bound
        if table.num_rows:
            yield table


def _sorted(tables: list[pa.Table]) -> pa.Table:
    table = pa.concat_tables(tables).combine_chunks()
    return table.take(pc.sort_indices(table["path"]))


def _sorted_batches(tables: list[pa.Table]) -> list[pa.Table]:
    return [_once(_sorted(tables), None)] if tables else []


def _once(table: pa.Table, last: bytes | None) -> pa.Table:
    """Leave out paths that came before, here or as the `last` of the table before."""
    if not table.num_rows:
        return table
    paths = table["path"].combine_chunks()
    again = np.zeros(table.num_rows, np.bool_)
    again[0] = paths[0].as_py() == last
    again[1:] = pc.equal(paths[1:], paths[:-1]).to_numpy(zero_copy_only=False)
    return table.filter(pa.array(~again)) if again.any() else table


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
