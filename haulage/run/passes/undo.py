"""Restore the trash of a run, and empty expired trashes."""

import os
from collections.abc import Iterator
from functools import partial
from itertools import count
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from haulage.catalog import events
from haulage.catalog.db.engine import Catalog
from haulage.catalog.deletes import tombstones, trashes
from haulage.catalog.deletes.trashes import Trash, TrashState
from haulage.catalog.runs import shards as ledger
from haulage.catalog.runs.shards import NewShard
from haulage.errors import RefusedError
from haulage.model import Kind, Pass, Status, Verb
from haulage.planning.actions import on_paths
from haulage.run.context.run_context import RunContext
from haulage.run.context.runner import TaskRunner
from haulage.run.pass_order import DIRS_ROUND, FILES_ROUND
from haulage.run.sharding.outcomes import done, is_sealed, outcomes_of, ready
from haulage.run.sharding.seal import write
from haulage.run.sharding.waves import Wave, run_wave
from haulage.storage.tree.trash.move import trash_of
from haulage.storage.tree.trash.restore import empty, tidy

_ENTRIES_AT_ONCE = 50_000


def trash_to_undo(catalog: Catalog, run_id: str, *, resumed: bool) -> Trash:
    """Return the trash of a run; RefusedError if there is nothing to undo."""
    trash = trashes.of_run(catalog, run_id)
    if trash is None:
        raise RefusedError(
            f"run {run_id} moved nothing into the trash: only runs whose policy has a "
            "trash (--trash 30d) can be undone"
        )
    if trash.state is not TrashState.KEPT and not resumed:
        became = "brought back" if trash.state is TrashState.UNDONE else "removed"
        raise RefusedError(
            f"what run {run_id} moved into the trash was {became} already; it was "
            f"kept until {trash.expires_at:%Y-%m-%d %H:%M} UTC"
        )
    return trash


def bring_back(context: RunContext, runner: TaskRunner, trash: Trash) -> None:
    """Restore every entry that the run deleted, never over an existing one."""
    if not is_sealed(context, Pass.DELETE):
        new = list(_new_shards(context, trash))
        if new:
            ledger.seal(context.catalog, context.run, new)
    left = ready(context, Pass.DELETE)
    context.progress.counts["planned"] = sum(shard.entries for shard in left)
    context.progress.finished_listing = True
    if left:
        context.progress.stage = "undo"
        dirs = [shard for shard in left if shard.round == DIRS_ROUND]
        files = [shard for shard in left if shard.round == FILES_ROUND]
        for shard in dirs:  # what is above comes first, with all that is in it
            wave = Wave(f"bring back directories {shard.seq}", (shard,))
            runner.call(wave.name, partial(run_wave, context, wave))
        if files:
            wave = Wave("bring back files", tuple(files))
            runner.call(wave.name, partial(run_wave, context, wave))
    _record(context, trash)


def _new_shards(context: RunContext, trash: Trash) -> Iterator[NewShard]:
    """Write shards of files and of directories, each in canonical order."""
    job, seq = context.job_of_undo(trash.run_id), count()
    step = context.bounds.max_entries
    for paths in tombstones.paths(context.catalog, trash.run_id, _ENTRIES_AT_ONCE):
        dirs = [path for path in paths if path.endswith(b"/")]
        files = [path for path in paths if not path.endswith(b"/")]
        for round_, kind, some in (
            (DIRS_ROUND, Kind.DIR, dirs),
            (FILES_ROUND, Kind.FILE, files),
        ):
            for start in range(0, len(some), step):
                rows = pa.array(some[start : start + step], pa.binary())
                actions = on_paths(rows, Verb.RESTORE, kind)
                yield write(context, Pass.DELETE, round_, next(seq), actions, job=job)


def _record(context: RunContext, trash: Trash) -> None:
    """Record in the tombstones which entries are restored."""
    left = 0
    for shard in ledger.listed(context.catalog, context.run.id, pass_=Pass.DELETE):
        is_settled = ("restored", "kept")
        left += shard.entries - sum(shard.tally.get(name, 0) for name in is_settled)
    for paths in _restored(context):
        tombstones.restored(context.catalog, context.run, trash.run_id, paths)
    if not left:
        left = tidy(context.pair.target.url, trash.run_id)
    if not left:
        trashes.close(context.catalog, context.run, trash, TrashState.UNDONE)
    else:
        context.notes.append(
            f"{left} entries stay in .haulage-trash/{trash.run_id} of the target; "
            f"'haulage failures {context.run.id}' says why"
        )
    detail = {"undone": trash.run_id, "left": left}
    events.note(context.catalog, context.run.id, "deletes undone", detail)


def _restored(context: RunContext) -> Iterator[list[bytes]]:
    for shard in done(context, Pass.DELETE):
        outcomes = outcomes_of(context, shard, ["path", "status"])
        is_back = pc.equal(outcomes["status"], pa.scalar(Status.RESTORED, pa.uint8()))
        yield outcomes["path"].filter(is_back).to_pylist()


def empty_expired(context: RunContext) -> None:
    """Remove expired trashes for good.

    Two runs in a row must find a trash expired: a clock may be ahead for a night.

    The next run retries a trash that cannot be removed now.
    """
    if context.pair.target.is_bucket:
        return
    for trash in trashes.kept(context.catalog, context.run.dataset_id):
        if trash.is_over and trash.over_in not in (None, context.run.id):
            context.progress.stage = "trash"
            _empty(context, trash)
        elif trash.is_over is not bool(trash.over_in):
            trashes.see(context.catalog, context.run, trash)


def _empty(context: RunContext, trash: Trash) -> None:
    """Remove a trash; one that is not here may be on another disk, which returns."""
    if not os.path.lexists(
        Path(context.pair.target.url, trash_of(trash.run_id).decode())
    ):
        return
    try:
        empty(context.pair.target.url, trash.run_id)
    except OSError as err:
        context.notes.append(
            f"the trash of run {trash.run_id} has expired, but could not be removed: "
            f"{err}; the next run tries again"
        )
        return
    trashes.close(context.catalog, context.run, trash, TrashState.EMPTIED)
    events.note(context.catalog, context.run.id, "trash emptied", {"of": trash.run_id})
