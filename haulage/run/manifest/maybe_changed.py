"""Find entries that a lost attempt may have changed in the target."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from haulage.catalog.manifests.reader import Manifest
from haulage.catalog.runs import shards as ledger
from haulage.catalog.runs.shards import Shard, ShardState
from haulage.disksort import DiskSort
from haulage.exchange.shard_files import is_readable, read_shard
from haulage.model import Pass
from haulage.planning.merge import PATHS
from haulage.run.context.run_context import RunContext


def begun(context: RunContext) -> Iterator[pa.Table]:
    """Yield the paths of shards that were started and not done, in canonical order.

    For a shard whose file is lost, these are all paths that it may have held.
    """
    by_path = DiskSort(context.workspace / "begun", PATHS, "path")
    spans = list[tuple[bytes, bytes]]()
    undone = [state for state in ShardState if state is not ShardState.DONE]
    for shard in ledger.listed(context.catalog, context.run.id, states=undone):
        if not _may_have_changed(shard):
            continue
        if is_readable(context.workspace / shard.file):
            by_path.add(read_shard(context.workspace / shard.file)[0].select(["path"]))
        else:
            spans.append((shard.first, shard.last))
    if spans:
        for entries in Manifest(context.catalog, context.run.base_manifest_id).tables():
            by_path.add(_within(entries, spans))
    yield from by_path.tables()


def _may_have_changed(shard: Shard) -> bool:
    return shard.attempts > 0 and shard.pass_ is not Pass.VERIFY


def _within(entries: pa.Table, spans: list[tuple[bytes, bytes]]) -> pa.Table:
    paths = entries["path"]
    is_within = pc.less(paths, b"")  # none
    for first, last in spans:
        is_in = pc.and_(pc.greater_equal(paths, first), pc.less_equal(paths, last))
        is_within = pc.or_(is_within, is_in)
    return entries.select(["path"]).filter(is_within)
