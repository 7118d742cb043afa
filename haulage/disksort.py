"""Sort more rows than memory holds: sorted files, merged in batches."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from haulage.errors import own_files
from haulage.private import make_directory, make_file

RUN_ROWS = 200_000  # sorted in memory at once, by default,
ENTRY_ROWS = 50_000  # or where a row has all that is known of an entry
_BATCH_ROWS = 2048  # of each run that is merged
_MOST_RUNS = 32  # merged at once


class DiskSort:
    """Takes rows in any order, and yields them sorted by one binary column.

    With `once`, each value of the column is yielded once. Its files are in `spool`, a
    directory of its own.
    """

    def __init__(
        self,
        spool: Path,
        schema: pa.Schema,
        key: str,
        *,
        run_rows: int = RUN_ROWS,
        once: bool = True,
    ) -> None:
        """Start empty; `key` is the column to sort by."""
        make_directory(spool)
        self._spool = spool
        self._schema = schema
        self._key = key
        self._run_rows = run_rows
        self._is_once = once
        self._held: list[pa.Table] = []
        self._held_rows = 0
        self._files: list[Path] = []
        self._made = 0

    def add(self, rows: pa.Table) -> None:
        """Add rows."""
        self._held.append(rows)
        self._held_rows += rows.num_rows
        if self._held_rows >= self._run_rows:
            self._store_held()

    def _store_held(self) -> None:
        if self._held_rows:
            self._store([self._once(self._sorted(self._held), None)])
        self._held, self._held_rows = [], 0

    def _store(self, tables: Iterable[pa.Table]) -> None:
        file = self._spool / f"sorted-{self._made}.arrow"
        self._made += 1
        write_batches(file, self._schema, tables)
        self._files.append(file)

    def tables(self) -> Iterator[pa.Table]:
        """Yield all rows in order, once, and remove the files."""
        self._store_held()
        while len(self._files) > _MOST_RUNS:
            first = self._files[:_MOST_RUNS]
            self._store(self._merge(first))
            self._files = self._files[_MOST_RUNS:]
            _remove(first)
        yield from self._merge(self._files)
        _remove(self._files)
        self._files = []

    def _merge(self, files: list[Path]) -> Iterator[pa.Table]:
        """Yield sorted tables: each time the rows that no file can precede any more."""
        readers = [batches_of(file) for file in files]
        heads = [(next(reader, None), reader) for reader in readers]
        live = [(head, reader) for head, reader in heads if head is not None]
        last: bytes | None = None
        while live:
            bound = min(head[self._key][-1].as_py() for head, _ in live)
            taken, left = [], []
            for head, reader in live:
                cut = pc.sum(pc.less_equal(head[self._key], bound)).as_py()
                taken.append(head.slice(0, cut))
                rest = head.slice(cut) if cut < head.num_rows else next(reader, None)
                if rest is not None:
                    left.append((rest, reader))
            live = left
            table = self._once(self._sorted(taken), last)
            last = bound
            if table.num_rows:
                yield table

    def _sorted(self, tables: list[pa.Table]) -> pa.Table:
        table = pa.concat_tables(tables).combine_chunks()
        return table.take(pc.sort_indices(table[self._key]))

    def _once(self, table: pa.Table, last: bytes | None) -> pa.Table:
        """Leave out keys that came before, here or as `last` of the previous table."""
        if not table.num_rows or not self._is_once:
            return table
        keys = table[self._key].combine_chunks()
        again = np.zeros(table.num_rows, np.bool_)
        again[0] = keys[0].as_py() == last
        again[1:] = pc.equal(keys[1:], keys[:-1]).to_numpy(zero_copy_only=False)
        return table.filter(pa.array(~again)) if again.any() else table


def write_batches(file: Path, schema: pa.Schema, tables: Iterable[pa.Table]) -> None:
    """Write an Arrow file that is read a batch at a time."""
    with own_files(file):
        make_file(file)
    with (
        own_files(file),
        pa.OSFile(str(file), "wb") as sink,
        pa.ipc.new_file(sink, schema) as out,
    ):
        for table in tables:
            out.write_table(table, max_chunksize=_BATCH_ROWS)


def batches_of(file: Path) -> Iterator[pa.Table]:
    """Yield the content of an Arrow file, a batch at a time."""
    with pa.OSFile(str(file), "rb") as source:
        reader = pa.ipc.open_file(source)
        for number in range(reader.num_record_batches):
            table = pa.Table.from_batches([reader.get_batch(number)])
            if table.num_rows:
                yield table


def _remove(files: list[Path]) -> None:
    for file in files:
        file.unlink()


def gathered(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Yield the same rows in large tables, each contiguous in memory."""
    held: list[pa.Table] = []
    for table in tables:
        held.append(table)
        if sum(some.num_rows for some in held) >= ENTRY_ROWS:
            yield pa.concat_tables(held)
            held = []
    if held:
        yield pa.concat_tables(held)
