"""Turn planned actions into recorded shards."""

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

from haulage.catalog.runs import shards as ledger
from haulage.catalog.runs.shards import NewShard, Shard
from haulage.exchange.shard_files import Job, write_shard
from haulage.model import Pass, Verb
from haulage.planning.columns import is_dir
from haulage.run.context.run_context import RunContext
from haulage.run.pass_order import DIRS_ROUND, FILES_ROUND

PART_PREFIX = "part-"  # of the files of shards that are one part of a split file
UNREADABLE_FILE = "unreadable.jsonl"


def write(  # noqa: PLR0913  all that a shard's row says
    context: RunContext,
    pass_: Pass,
    round_: int,
    seq: int,
    actions: pa.Table,
    *,
    wave: int = 0,
    job: Job | None = None,
) -> NewShard:
    """Write a shard's file and return its record for the catalog."""
    prefix = PART_PREFIX if actions["verb"][0].as_py() == Verb.PART else ""
    name = f"shards/{prefix}{pass_}-{round_}-{seq:06}.parquet"
    write_shard(context.workspace / name, actions, job or context.job)
    paths = actions["path"]
    first, last = paths[0].as_py(), paths[-1].as_py()
    size = int(actions["length"].to_numpy().sum())
    return NewShard(
        pass_, round_, seq, wave, name, actions.num_rows, size,
        min(first, last), max(first, last),
    )  # fmt: skip


def is_part(shard: Shard) -> bool:
    """Tell whether a shard is one part of a split file."""
    return shard.file.startswith(f"shards/{PART_PREFIX}")


def seal(
    context: RunContext, pass_: Pass, round_: int, tables: Iterable[pa.Table]
) -> list[Shard]:
    """Record `tables` as the shards of one pass and round, all at once."""
    new = [
        write(context, pass_, round_, seq, table)
        for seq, table in enumerate(tables)
        if table.num_rows
    ]
    return ledger.seal(context.catalog, context.run, new) if new else []


def delete_shards(
    context: RunContext, seq: Iterator[int], gone: pa.Table
) -> Iterator[NewShard]:
    """Write shards of files before those of directories, which must be empty to go.

    `gone` is in canonical order; so are the numbers of the directories' shards, which
    run from the highest one down.
    """
    is_last = is_dir(gone)
    files = gone.filter(pa.array(~is_last))
    dirs = gone.take(np.flatnonzero(is_last)[::-1])
    step = context.bounds.max_entries
    for start in range(0, files.num_rows, step):
        rows = files.slice(start, step)
        yield write(context, Pass.DELETE, FILES_ROUND, next(seq), rows)
    for start in reversed(range(0, dirs.num_rows, step)):
        rows = dirs.slice(start, step)
        yield write(context, Pass.DELETE, DIRS_ROUND, next(seq), rows)
