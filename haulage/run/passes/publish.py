"""Find the split files whose parts have all arrived."""

from collections.abc import Iterator
from itertools import pairwise

import pyarrow as pa
import pyarrow.compute as pc

from haulage.disksort import ENTRY_ROWS, DiskSort
from haulage.model import OUTCOME, Pass, Status
from haulage.planning.actions import join_parts
from haulage.run.context.run_context import RunContext
from haulage.run.sharding.outcomes import rows_with


def publishable(context: RunContext, round_: int) -> Iterator[pa.Table]:
    """Yield the parts of every complete file of this round, file by file.

    Each file is a shard of its own, so that movers read large files back in parallel.
    """
    spool = context.workspace / "publish"
    rows = DiskSort(spool, OUTCOME, "path", run_rows=ENTRY_ROWS, once=False)
    for table in rows_with(context, [Pass.COPY], [round_], [Status.PART]):
        rows.add(table.select(OUTCOME.names))
    for parts in _by_path(rows.tables()):
        arrived = pc.sum(parts["length"]).as_py()
        if arrived == pc.max(parts["size"]).as_py():
            yield join_parts(parts.sort_by("offset"))


def _by_path(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Cut sorted tables wherever the path changes; a path may span several."""
    held = OUTCOME.empty_table()
    for table in tables:
        rows = pa.concat_tables([held, table])
        paths = rows["path"].to_pylist()
        starts = [row for row in range(1, len(paths)) if paths[row] != paths[row - 1]]
        for first, after in pairwise([0, *starts]):
            yield rows.slice(first, after - first)
        held = rows.slice(starts[-1] if starts else 0)
    if held.num_rows:
        yield held
