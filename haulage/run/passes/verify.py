"""The pass that reads the target again: after a round of copying, or all of it."""

from collections.abc import Iterator

import pyarrow as pa

from haulage.catalog.manifests.reader import Manifest
from haulage.catalog.runs import shards as ledger
from haulage.disksort import ENTRY_ROWS, DiskSort, gathered
from haulage.model import Pass, Preserve
from haulage.planning.actions import prove
from haulage.planning.columns import is_linked
from haulage.planning.pack import pack
from haulage.run.context.run_context import RunContext
from haulage.run.context.runner import TaskRunner
from haulage.run.links.identity import LED, WITH_IDENTITY, led, with_identity
from haulage.run.pass_order import MAKES
from haulage.run.sharding.outcomes import outcomes_of, to_prove
from haulage.run.sharding.seal import seal
from haulage.run.sharding.waves import run_pass


def prove_manifest(context: RunContext, runner: TaskRunner) -> None:
    """Verify everything that the manifest says the target holds."""
    shards = (
        shard
        for entries in _known(context)
        for shard in pack(prove(entries), context.bounds)
    )
    seal(context, Pass.VERIFY, 0, shards)
    run_pass(context, runner, Pass.VERIFY, 0, "verify")


def _known(context: RunContext) -> Iterator[pa.Table]:
    """Yield the manifest's entries; a file's other names have its first as `leader`."""
    manifest = Manifest(context.catalog, context.run.base_manifest_id)
    if context.pair.has_bucket or Preserve.LINKS not in context.policy.preserve:
        yield from manifest.tables()
        return
    spool = context.workspace / "links" / "known"
    groups = DiskSort(spool / "groups", WITH_IDENTITY, "key", run_rows=ENTRY_ROWS)
    for page in manifest.tables():
        linked = is_linked(page)
        groups.add(with_identity(page.filter(pa.array(linked))))
        yield page.filter(pa.array(~linked))
    by_path = DiskSort(spool / "paths", LED, "path", run_rows=ENTRY_ROWS)
    for entries in led(groups.tables()):
        by_path.add(entries)
    yield from gathered(by_path.tables())


def provable(context: RunContext, round_: int) -> Iterator[pa.Table]:
    """Yield, shard by shard, the actions that verify what this round copied."""
    made = ("copied", "made")
    for shard in ledger.counting(
        context.catalog, context.run.id, MAKES, [round_], made
    ):
        yield prove(to_prove(context, outcomes_of(context, shard)))
