"""The sweeps after the copying: deletes within their guards, then directories."""

import os
from collections.abc import Iterator
from functools import partial
from itertools import count

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from haulage.catalog import delete_plans, events, trashes
from haulage.catalog import shards as ledger
from haulage.catalog.delete_plans import DeletePlan
from haulage.catalog.manifests import Manifest
from haulage.catalog.shards import Shard, ShardState
from haulage.model import MANIFEST, Kind, Pass, Status, Verb
from haulage.ops.plan import on_paths, remove
from haulage.policy import Delete, Step
from haulage.shardfile import read_shard
from haulage.stages.crew import Crew
from haulage.stages.guards import Gone, emptiness, needs_approval
from haulage.stages.rounds import done, outcomes_of
from haulage.stages.sealing import DIRS_ROUND, FILES_ROUND, delete_shards, seal
from haulage.stages.site import Site
from haulage.stages.wave import Wave, run_wave

_LOOKED_AT = ("verb", "status", "path")
_LAST_NAME = "[^/]*/?$"  # without it, a path is that of the directory it is in
# What needed no change may have been changed by an attempt that was lost before it said
# so, in this run or in one before: UNCHANGED and ABSENT are not among these.
_LEFT_ALONE = (Status.UPDATED, Status.VERIFIED, Status.KEPT)


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
    if not ledger.listed(site.catalog, site.run.id, pass_=Pass.DELETE):
        seq = count()
        new = [
            shard
            for entries in delete_plans.tables(site.catalog, plan)
            for shard in delete_shards(site, seq, remove(entries))
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
    planned = ledger.listed(site.catalog, site.run.id, pass_=Pass.DELETE)
    entries = sum(shard.entries for shard in planned)
    counts = site.meter.counts
    known = Manifest(site.catalog, site.run.base_manifest_id).entries
    return Gone(entries, counts["delete_bytes"], counts["listed"], known)


def _keep_as_plan(site: Site, reason: str) -> None:
    """Keep the deletes in the catalog, because the workspace goes with the run."""
    plan = delete_plans.keep(site.catalog, site.run, reason, _planned(site))
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
    deleted = any(shard.tally.get("deleted") for shard in done(site, Pass.DELETE))
    if deleted and site.policy.trash is not None:
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


def finish_dirs(site: Site, crew: Crew) -> None:
    """Give each directory that the run touched its final attributes, the root last."""
    if Step.DIRS not in site.policy.steps or site.pair.target.is_bucket:
        return
    if not ledger.listed(site.catalog, site.run.id, pass_=Pass.DIRS):
        seal(site, Pass.DIRS, 0, _dir_shards(site))
    ready = ledger.listed(
        site.catalog, site.run.id, pass_=Pass.DIRS, states=[ShardState.READY]
    )
    if ready:
        site.meter.stage = "directories"
        crew.call("directories", partial(_finish_dirs, site, ready))


def _finish_dirs(site: Site, ready: list[Shard]) -> None:
    if os.geteuid() == 0:
        run_wave(site, Wave("directories", tuple(ready)))
        return
    for shard in ready:  # a directory that we may no longer enter hides those below
        run_wave(site, Wave(f"directories {shard.seq}", (shard,)))


def _dir_shards(site: Site) -> Iterator[pa.Table]:
    touched: set[bytes] = set()
    if site.policy.steps == (Step.DIRS,):
        touched.update(_every_dir(site))
    for pass_ in (Pass.COPY, Pass.PUBLISH, Pass.LINKS, Pass.DELETE):
        for shard in done(site, pass_):
            touched.update(_touched(outcomes_of(site, shard, _LOOKED_AT)))
    for shard in done(site, Pass.DELETE):
        touched.difference_update(_not_to_finish(outcomes_of(site, shard, _LOOKED_AT)))
    if touched and (os.geteuid() != 0 or site.policy.trash is not None):
        touched.add(b"")  # movers open a read-only root, and make the trash in it
    implied = _implied_dirs(site)
    deepest_first = sorted(touched, reverse=True)
    step = site.bounds.max_entries
    for start in range(0, len(deepest_first), step):
        some = deepest_first[start : start + step]
        etags = [None if path in implied else b"" for path in some]
        paths = pa.array(some, pa.binary())
        yield on_paths(paths, Verb.DIR, Kind.DIR, pa.array(etags, pa.binary()))


def _not_to_finish(outcomes: pa.Table) -> list[bytes]:
    """Return what the source has not; what undo found standing it may have."""
    restores = pc.equal(outcomes["verb"], pa.scalar(Verb.RESTORE, pa.uint8()))
    stands = pc.equal(outcomes["status"], pa.scalar(Status.KEPT, pa.uint8()))
    wanted = pc.invert(pc.and_(restores, stands))
    paths: list[bytes] = outcomes["path"].filter(wanted).to_pylist()
    return paths


def _implied_dirs(site: Site) -> set[bytes]:
    """Return the directories made of which the listing told that no object stands."""
    implied: set[bytes] = set()
    for shard in done(site, Pass.COPY) if site.pair.source.is_bucket else []:
        outcomes = outcomes_of(site, shard, ["verb", "path", "etag"])
        is_made = outcomes["verb"].to_numpy() == Verb.MKDIR
        bare = outcomes["etag"].is_null().to_numpy()
        implied.update(outcomes["path"].filter(pa.array(is_made & bare)).to_pylist())
    return implied


def _every_dir(site: Site) -> Iterator[bytes]:
    for table in Manifest(site.catalog, site.run.base_manifest_id).tables():
        is_dir = table["kind"].to_numpy() == Kind.DIR
        yield from table["path"].filter(pa.array(is_dir)).to_pylist()


def _touched(outcomes: pa.Table) -> list[bytes]:
    """Return the directories whose times the shard's actions moved, or that it made."""
    verbs, statuses = outcomes["verb"].to_numpy(), outcomes["status"].to_numpy()
    is_made = verbs == Verb.MKDIR
    # A mover opens what it makes directories in, for an owner who is not root.
    moved = ~np.isin(statuses, _LEFT_ALONE) | is_made
    made = outcomes["path"].filter(pa.array(is_made))
    above = pc.replace_substring_regex(
        outcomes["path"].filter(pa.array(moved)), pattern=_LAST_NAME, replacement=""
    )
    touched: list[bytes] = pc.unique(
        pa.chunked_array([*made.chunks, *above.chunks], pa.binary())
    ).to_pylist()
    return touched
