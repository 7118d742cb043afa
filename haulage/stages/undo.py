"""Brings back what a run moved aside, and empties what was kept long enough."""

import os
from collections.abc import Iterator
from functools import partial
from itertools import count
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from haulage.catalog import events, tombstones, trashes
from haulage.catalog import shards as ledger
from haulage.catalog.engine import Catalog
from haulage.catalog.shards import NewShard, ShardState
from haulage.catalog.trashes import Trash, TrashState
from haulage.errors import RefusedError
from haulage.model import Kind, Pass, Status, Verb
from haulage.ops.plan import on_paths
from haulage.stages.crew import Crew
from haulage.stages.rounds import done, outcomes_of
from haulage.stages.sealing import DIRS_ROUND, FILES_ROUND, write
from haulage.stages.site import Site
from haulage.stages.wave import Wave, run_wave
from haulage.storage.tree.restoring import empty, tidy
from haulage.storage.tree.trash import trash_of

_ENTRIES_AT_ONCE = 50_000


def trash_to_undo(catalog: Catalog, run_id: str, *, resumed: bool) -> Trash:
    """Return what a run moved aside; RefusedError if there is nothing to do."""
    trash = trashes.of_run(catalog, run_id)
    if trash is None:
        raise RefusedError(
            f"run {run_id} moved nothing aside: only runs whose policy has a trash "
            f"(--trash 30d) can be undone"
        )
    if trash.state is not TrashState.KEPT and not resumed:
        became = "brought back" if trash.state is TrashState.UNDONE else "removed"
        raise RefusedError(
            f"what run {run_id} moved aside was {became} already; it was kept until "
            f"{trash.expires_at:%Y-%m-%d %H:%M} UTC"
        )
    return trash


def bring_back(site: Site, crew: Crew, trash: Trash) -> None:
    """Move every entry back that the run deleted; none over anything that is there."""
    if not ledger.are_there(site.catalog, site.run.id, Pass.DELETE):
        new = list(_new_shards(site, trash))
        if new:
            ledger.seal(site.catalog, site.run, new)
    ready = ledger.listed(
        site.catalog, site.run.id, pass_=Pass.DELETE, states=[ShardState.READY]
    )
    site.meter.counts["planned"] = sum(shard.entries for shard in ready)
    site.meter.finished_listing = True
    if ready:
        site.meter.stage = "undo"
        dirs = [shard for shard in ready if shard.round == DIRS_ROUND]
        files = [shard for shard in ready if shard.round == FILES_ROUND]
        for shard in dirs:  # what is above comes first, with all that is in it
            wave = Wave(f"bring back directories {shard.seq}", (shard,))
            crew.call(wave.name, partial(run_wave, site, wave))
        if files:
            wave = Wave("bring back files", tuple(files))
            crew.call(wave.name, partial(run_wave, site, wave))
    _record(site, trash)


def _new_shards(site: Site, trash: Trash) -> Iterator[NewShard]:
    """Write files apart from directories, all of them in canonical order."""
    job, seq = site.job_of_undo(trash.run_id), count()
    step = site.bounds.max_entries
    for paths in tombstones.paths(site.catalog, trash.run_id, _ENTRIES_AT_ONCE):
        dirs = [path for path in paths if path.endswith(b"/")]
        files = [path for path in paths if not path.endswith(b"/")]
        for round_, kind, some in (
            (DIRS_ROUND, Kind.DIR, dirs),
            (FILES_ROUND, Kind.FILE, files),
        ):
            for start in range(0, len(some), step):
                rows = pa.array(some[start : start + step], pa.binary())
                actions = on_paths(rows, Verb.RESTORE, kind)
                yield write(site, Pass.DELETE, round_, next(seq), actions, job=job)


def _record(site: Site, trash: Trash) -> None:
    """Tell the tombstones which of them stand for nothing any more."""
    left = 0
    for shard in ledger.listed(site.catalog, site.run.id, pass_=Pass.DELETE):
        is_settled = ("restored", "kept")
        left += shard.entries - sum(shard.tally.get(name, 0) for name in is_settled)
    for paths in _restored(site):
        tombstones.restored(site.catalog, site.run, trash.run_id, paths)
    if not left:
        left = tidy(site.pair.target.url, trash.run_id)
    if not left:
        trashes.close(site.catalog, site.run, trash, TrashState.UNDONE)
    else:
        site.notes.append(
            f"{left} entries stay in .haulage-trash/{trash.run_id} of the target; "
            f"'haulage failures {site.run.id}' says why"
        )
    detail = {"undone": trash.run_id, "left": left}
    events.note(site.catalog, site.run.id, "deletes undone", detail)


def _restored(site: Site) -> Iterator[list[bytes]]:
    for shard in done(site, Pass.DELETE):
        outcomes = outcomes_of(site, shard, ["path", "status"])
        is_back = pc.equal(outcomes["status"], pa.scalar(Status.RESTORED, pa.uint8()))
        yield outcomes["path"].filter(is_back).to_pylist()


def empty_expired(site: Site) -> None:
    """Remove for good what was moved aside and has been kept long enough.

    Two runs have to find that, one after the other: a clock may be ahead for a night.

    A trash that can not be removed now is tried again by the next run.
    """
    if site.pair.target.is_bucket:
        return
    for trash in trashes.kept(site.catalog, site.run.dataset_id):
        if trash.is_over and trash.over_in not in (None, site.run.id):
            site.meter.stage = "trash"
            _empty(site, trash)
        elif trash.is_over is not bool(trash.over_in):
            trashes.see(site.catalog, site.run, trash)


def _empty(site: Site, trash: Trash) -> None:
    """Remove a trash; one that is not here may be on another disk, which comes back."""
    if not os.path.lexists(Path(site.pair.target.url, trash_of(trash.run_id).decode())):
        return
    try:
        empty(site.pair.target.url, trash.run_id)
    except OSError as err:
        site.notes.append(
            f"the trash of run {trash.run_id} is over its time, but could not be "
            f"removed: {err}; the next run tries again"
        )
        return
    trashes.close(site.catalog, site.run, trash, TrashState.EMPTIED)
    events.note(site.catalog, site.run.id, "trash emptied", {"of": trash.run_id})
