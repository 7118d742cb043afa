"""Brings back what a run moved aside, and empties what was kept long enough."""

from collections.abc import Collection, Iterator
from functools import partial
from itertools import count

import pyarrow as pa
import pyarrow.compute as pc

from haulage.catalog import events, tombstones, trashes
from haulage.catalog import shards as ledger
from haulage.catalog.engine import Catalog
from haulage.catalog.shards import ShardState
from haulage.catalog.trashes import Trash, TrashState
from haulage.errors import RefusedError
from haulage.model import Kind, Pass, Status, Verb
from haulage.ops.plan import on_paths
from haulage.stages.crew import Crew
from haulage.stages.passes import run_deletes
from haulage.stages.rounds import done, outcomes_of
from haulage.stages.sealing import delete_shards
from haulage.stages.site import Site
from haulage.storage.trash import empty

_ENTRIES_AT_ONCE = 50_000


def trash_to_undo(catalog: Catalog, run_id: str) -> Trash:
    """Return what a run moved aside; RefusedError if nothing of it is there."""
    trash = trashes.of_run(catalog, run_id)
    if trash is None:
        raise RefusedError(
            f"run {run_id} moved nothing aside: only runs whose policy has a trash "
            f"(--trash 30d) can be undone"
        )
    if trash.state is not TrashState.KEPT:
        became = "brought back" if trash.state is TrashState.UNDONE else "removed"
        raise RefusedError(
            f"what run {run_id} moved aside was {became} already; it was kept until "
            f"{trash.expires_at:%Y-%m-%d %H:%M} UTC"
        )
    return trash


def bring_back(site: Site, crew: Crew, trash: Trash) -> None:
    """Move every entry back that the run deleted; none over anything that is there."""
    if not ledger.listed(site.catalog, site.run.id, pass_=Pass.DELETE):
        job, seq = site.job_of_undo(trash.run_id), count()
        new = [
            shard
            for part in tombstones.paths(site.catalog, trash.run_id, _ENTRIES_AT_ONCE)
            for shard in delete_shards(site, seq, _actions(part), job)
        ]
        ledger.seal(site.catalog, site.run, new)
    ready = ledger.listed(
        site.catalog, site.run.id, pass_=Pass.DELETE, states=[ShardState.READY]
    )
    site.meter.counts["planned"] = sum(shard.entries for shard in ready)
    site.meter.finished_listing = True
    if ready:
        site.meter.stage = "undo"
        crew.call("undo", partial(run_deletes, site, ready))
    _record(site, trash)


def _actions(paths: Collection[bytes]) -> pa.Table:
    """Return the actions for paths in canonical order."""
    tables = [
        on_paths(
            pa.array(
                [one for one in paths if one.endswith(b"/") == is_dir], pa.binary()
            ),
            Verb.RESTORE,
            Kind.DIR if is_dir else Kind.FILE,
        )
        for is_dir in (False, True)
    ]
    return pa.concat_tables(tables).sort_by("path")


def _record(site: Site, trash: Trash) -> None:
    """Tell the tombstones which of them stand for nothing any more."""
    left = 0
    for shard in ledger.listed(site.catalog, site.run.id, pass_=Pass.DELETE):
        left += shard.entries - shard.tally.get("restored", 0)
    for paths in _restored(site):
        tombstones.restored(site.catalog, site.run, trash.run_id, paths)
    if not left:
        trashes.close(site.catalog, site.run, trash, TrashState.UNDONE)
    detail = {"undone": trash.run_id, "left": left}
    events.note(site.catalog, site.run.id, "deletes undone", detail)


def _restored(site: Site) -> Iterator[list[bytes]]:
    for shard in done(site, Pass.DELETE):
        outcomes = outcomes_of(site, shard, ["path", "status"])
        is_back = pc.equal(outcomes["status"], pa.scalar(Status.RESTORED, pa.uint8()))
        yield outcomes["path"].filter(is_back).to_pylist()


def empty_expired(site: Site) -> None:
    """Remove for good what was moved aside and has been kept long enough."""
    if site.pair.target.is_bucket:
        return
    for trash in trashes.kept(site.catalog, site.row.id):
        if trash.is_over:
            site.meter.stage = "trash"
            empty(site.pair.target.url, trash.run_id)
            trashes.close(site.catalog, site.run, trash, TrashState.EMPTIED)
            detail = {"of": trash.run_id}
            events.note(site.catalog, site.run.id, "trash emptied", detail)
