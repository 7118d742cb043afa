"""The pass that removes what is gone at the source, within its guards."""

from collections.abc import Iterator
from functools import partial
from itertools import count

import numpy as np
import pyarrow as pa

from haulage.catalog import delete_plans, events, trashes
from haulage.catalog import shards as ledger
from haulage.catalog.delete_plans import DeletePlan
from haulage.catalog.manifests import Manifest
from haulage.catalog.shards import Shard, ShardState
from haulage.model import MANIFEST, Pass
from haulage.ops.plan import remove
from haulage.policy import Delete, Step
from haulage.shardfile import read_shard
from haulage.stages.crew import Crew
from haulage.stages.guards import Gone, emptiness, needs_approval
from haulage.stages.sealing import DIRS_ROUND, FILES_ROUND, delete_shards
from haulage.stages.shared import shared_in
from haulage.stages.site import Site
from haulage.stages.wave import Wave, run_wave


def delete(site: Site, crew: Crew) -> None:
    """Remove what is gone at the source, or keep it as a plan that waits."""
    planned = _ready(site)
    wanted = Step.DELETE in site.policy.steps and site.policy.delete is not Delete.OFF
    if not planned or not wanted:
        return
    gone = _gone(site)
    if forbidden := emptiness(site.policy, gone):
        site.notes.append(f"nothing was deleted: {forbidden}")
        events.note(site.catalog, site.run.id, "delete refused", {"reason": forbidden})
    elif reason := needs_approval(site.policy, gone):
        _keep_as_plan(site, reason)
    else:
        _run_deletes(site, crew, planned)


def delete_approved(site: Site, crew: Crew, plan: DeletePlan) -> None:
    """Remove what a person approved; every proof is asked for again."""
    site.meter.counts["planned"] = plan.entries
    site.meter.finished_listing = True
    if not ledger.are_there(site.catalog, site.run.id, Pass.DELETE):
        seq = count()
        shared = shared_in(site.catalog, site.dataset, site.pair)
        new = [
            shard
            for entries in delete_plans.tables(site.catalog, plan)
            for shard in delete_shards(site, seq, shared.without(remove(entries)))
        ]
        ledger.seal(site.catalog, site.run, new)
    if planned := _ready(site):
        _run_deletes(site, crew, planned)
    delete_plans.close(site.catalog, site.run, plan)


def _ready(site: Site) -> list[Shard]:
    return ledger.listed(
        site.catalog, site.run.id, pass_=Pass.DELETE, states=[ShardState.READY]
    )


def _gone(site: Site) -> Gone:
    """Return all that the run planned to delete, not only what is left of it."""
    totals = ledger.totals(site.catalog, site.run.id)
    entries = sum(total.entries for total in totals if total.pass_ is Pass.DELETE)
    counts = site.meter.counts
    known = Manifest(site.catalog, site.run.base_manifest_id).entries
    return Gone(entries, counts["delete_bytes"], counts["listed"], known)


def _keep_as_plan(site: Site, reason: str) -> None:
    """Keep the deletes in the catalog, because the workspace goes with the run."""
    plan = delete_plans.keep(site.catalog, site.run, reason, partial(_planned, site))
    site.waiting_plan = plan.id
    site.notes.append(f"nothing was deleted: {reason}")
    site.notes.append(
        f"delete plan {plan.id} waits: 'haulage deletes show {plan.id}' lists its "
        f"{plan.entries} entries, 'haulage deletes apply {plan.id} --yes-delete "
        f"{plan.entries}' deletes them, 'haulage deletes decline {plan.id}' drops it"
    )
    detail = {"plan": plan.id, "entries": plan.entries, "reason": reason}
    events.note(site.catalog, site.run.id, "deletes wait for approval", detail)


def _planned(site: Site) -> Iterator[pa.Table]:
    """Yield the entries to delete in canonical order, files before directories."""
    for shard in ledger.listed(site.catalog, site.run.id, pass_=Pass.DELETE):
        actions, _ = read_shard(site.workspace / shard.file)
        if shard.round == DIRS_ROUND:  # deepest first in its file
            actions = actions.take(np.arange(actions.num_rows)[::-1])
        yield actions.select(MANIFEST.names)


def _run_deletes(site: Site, crew: Crew, planned: list[Shard]) -> None:
    site.meter.stage = "delete"
    if site.policy.trash is not None:
        trashes.note(site.catalog, site.run, site.policy.trash)
    crew.call("delete", partial(_delete, site, planned))
    deleted = (
        ledger.counting(site.catalog, site.run.id, Pass.DELETE, round_, ["deleted"])
        for round_ in (FILES_ROUND, DIRS_ROUND)
    )
    if site.policy.trash is not None and any(deleted):
        site.notes.append(
            f"what was deleted is in the target's trash: 'haulage undo {site.run.id}' "
            f"brings it back"
        )


def _delete(site: Site, planned: list[Shard]) -> None:
    files = [shard for shard in planned if shard.round == FILES_ROUND]
    dirs = [shard for shard in planned if shard.round == DIRS_ROUND]
    run_wave(site, Wave("delete files", tuple(files)))
    for shard in reversed(dirs):  # what is below has a higher number
        run_wave(site, Wave(f"delete directories {shard.seq}", (shard,)))
