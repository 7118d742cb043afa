"""The pass that deletes entries gone from the source, within its guards."""

from collections.abc import Iterator
from functools import partial
from itertools import count

import numpy as np
import pyarrow as pa

from haulage.catalog import events
from haulage.catalog.deletes import delete_plans, trashes
from haulage.catalog.deletes.delete_plans import DeletePlan
from haulage.catalog.manifests.reader import Manifest
from haulage.catalog.runs import shards as ledger
from haulage.catalog.runs.shards import Shard
from haulage.config.policy import Delete, Step
from haulage.exchange.shard_files import read_shard
from haulage.model import MANIFEST, Pass
from haulage.planning.actions import remove
from haulage.run.context.run_context import RunContext
from haulage.run.context.runner import TaskRunner
from haulage.run.discovery.shared_target import shared_in
from haulage.run.guards.delete_caps import Gone, emptiness, needs_approval
from haulage.run.pass_order import DIRS_ROUND, FILES_ROUND
from haulage.run.sharding.outcomes import is_sealed, ready
from haulage.run.sharding.seal import delete_shards
from haulage.run.sharding.waves import Wave, run_wave


def delete(context: RunContext, runner: TaskRunner) -> None:
    """Delete entries that are gone from the source, or store them as a waiting plan."""
    planned = ready(context, Pass.DELETE)
    wanted = (
        Step.DELETE in context.policy.steps and context.policy.delete is not Delete.OFF
    )
    if not planned or not wanted:
        return
    gone = _gone(context)
    if forbidden := emptiness(context.policy, gone):
        context.notes.append(f"nothing was deleted: {forbidden}")
        events.note(
            context.catalog, context.run.id, "delete refused", {"reason": forbidden}
        )
    elif reason := needs_approval(context.policy, gone):
        _record_plan(context, reason)
    else:
        _run_deletes(context, runner, planned)


def delete_approved(context: RunContext, runner: TaskRunner, plan: DeletePlan) -> None:
    """Delete the entries of an approved plan; every check is repeated."""
    context.progress.counts["planned"] = plan.entries
    context.progress.finished_listing = True
    if not is_sealed(context, Pass.DELETE):
        seq = count()
        shared = shared_in(context.catalog, context.dataset, context.pair)
        new = [
            shard
            for entries in delete_plans.tables(context.catalog, plan)
            for shard in delete_shards(context, seq, shared.without(remove(entries)))
        ]
        ledger.seal(context.catalog, context.run, new)
    if planned := ready(context, Pass.DELETE):
        _run_deletes(context, runner, planned)
    delete_plans.close(context.catalog, context.run, plan)


def _gone(context: RunContext) -> Gone:
    """Return all deletes that the run planned, not only those left to do."""
    totals = ledger.totals(context.catalog, context.run.id)
    entries = sum(total.entries for total in totals if total.pass_ is Pass.DELETE)
    counts = context.progress.counts
    known = Manifest(context.catalog, context.run.base_manifest_id).entries
    return Gone(entries, counts["delete_bytes"], counts["listed"], known)


def _record_plan(context: RunContext, reason: str) -> None:
    """Keep the deletes in the catalog, because the workspace goes with the run."""
    plan = delete_plans.record(
        context.catalog, context.run, reason, partial(_planned, context)
    )
    context.waiting_plan = plan.id
    context.notes.append(f"nothing was deleted: {reason}")
    context.notes.append(
        f"delete plan {plan.id} waits: 'haulage deletes show {plan.id}' lists its "
        f"{plan.entries} entries, 'haulage deletes apply {plan.id} --yes-delete "
        f"{plan.entries}' deletes them, 'haulage deletes decline {plan.id}' drops it"
    )
    detail = {"plan": plan.id, "entries": plan.entries, "reason": reason}
    events.note(context.catalog, context.run.id, "deletes wait for approval", detail)


def _planned(context: RunContext) -> Iterator[pa.Table]:
    """Yield the entries to delete in canonical order, files before directories."""
    for shard in ledger.listed(context.catalog, context.run.id, pass_=Pass.DELETE):
        actions, _ = read_shard(context.workspace / shard.file)
        if shard.round == DIRS_ROUND:  # deepest first in its file
            actions = actions.take(np.arange(actions.num_rows)[::-1])
        yield actions.select(MANIFEST.names)


def _run_deletes(context: RunContext, runner: TaskRunner, planned: list[Shard]) -> None:
    context.progress.stage = "delete"
    if context.policy.trash is not None:
        trashes.note(context.catalog, context.run, context.policy.trash)
    runner.call("delete", partial(_delete, context, planned))
    rounds = (FILES_ROUND, DIRS_ROUND)
    if context.policy.trash is not None and ledger.counting(
        context.catalog, context.run.id, [Pass.DELETE], rounds, ["deleted"]
    ):
        context.notes.append(
            "the deleted entries are in the target's trash: 'haulage undo "
            f"{context.run.id}' brings them back"
        )


def _delete(context: RunContext, planned: list[Shard]) -> None:
    files = [shard for shard in planned if shard.round == FILES_ROUND]
    dirs = [shard for shard in planned if shard.round == DIRS_ROUND]
    run_wave(context, Wave("delete files", tuple(files)))
    for shard in reversed(dirs):  # what is below has a higher number
        run_wave(context, Wave(f"delete directories {shard.seq}", (shard,)))
