"""Commit the new manifest: the old one plus the outcomes, in one transaction."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from haulage.catalog import failures
from haulage.catalog.deletes import delete_plans, tombstones
from haulage.catalog.deletes.tombstones import Tombstone
from haulage.catalog.failures import Failure
from haulage.catalog.manifests.reader import Manifest, ManifestWriter, PageRef
from haulage.catalog.runs import shards as ledger
from haulage.catalog.runs.lineage import VERIFY
from haulage.catalog.runs.shards import ShardState
from haulage.config.policy import Fsync
from haulage.disksort import DiskSort
from haulage.model import Pass, Status, Verb
from haulage.planning.merge import HOLDS, Merged, Stream
from haulage.run.context.run_context import RunContext
from haulage.run.manifest.lookup import KnownNames
from haulage.run.manifest.maybe_changed import begun
from haulage.run.manifest.overlay import overlaid, overlays_of
from haulage.run.manifest.replaced_names import LOOKED_AT, Taken
from haulage.run.manifest.touched_dirs import touched_dirs
from haulage.run.manifest.unlisted import failure_of
from haulage.run.sharding.outcomes import is_sealed
from haulage.run.sharding.seal import UNREADABLE_FILE
from haulage.storage.tree.filesystem.syncfs import sync_file_system
from haulage.storage.tree.listing.walk import Unreadable

_LINES = pa.schema([pa.field("line", pa.binary())])
_AT_ONCE = 10_000  # failures in memory
_LOST = "lost"  # made, but without something that its source has
_MOST_LISTED = 10_000  # failures of a run, and losses; the summary counts all
_FAILED = (Status.FAILED, Status.UNSTABLE, Status.MISMATCH, Status.BLOCKED)


@dataclass(slots=True)
class Ledger:
    """Totals of the outcomes, path by path.

    `failed` counts entries that are not in the target as they should be, `held` the
    entries of the new manifest. Of the failures some are `listed` and the rest
    `unlisted`.
    """

    approved_by: str
    failed: int = 0
    listed: int = 0
    unlisted: int = 0
    held: int = 0
    losses: list[Failure] = field(default_factory=list)


def commit(context: RunContext, recovered: Iterable[pa.Table] = ()) -> Ledger:
    """Write the manifest of everything done, make it current, and return its totals.

    `recovered` are outcomes of the recovery that ended the run, by path.
    """
    if context.policy.fsync is Fsync.RUN and _has_changed_a_tree(context):
        sync_file_system(context.pair.target.url)
    seen = Ledger(_approval(context))
    failures.forget(context.catalog, context.run)
    unlisted = chain(_unreadable(context), _lost_shards(context))
    while some := list(islice(unlisted, _AT_ONCE)):
        _record(context, seen, some)
    writer = ManifestWriter(context.catalog, context.run)
    for window in overlaid(
        context,
        taken=_taken(context, partial(_record_torn, context, seen)),
        touched=touched_dirs(context),
        begun=begun(context),
        at_last=recovered,
    ):
        if isinstance(window, PageRef):
            writer.reuse(window)
            continue
        writer.add(window.merged.entries)
        failed = _failures_in(window.merged)
        _record(context, seen, failed)
        _bury(context, seen, window.merged)
        _note_losses(seen, window.overlays, {failure.path for failure in failed})
    failures.add(context.catalog, context.run, seen.losses)
    writer.commit()
    seen.held = writer.entries
    return seen


def _has_changed_a_tree(context: RunContext) -> bool:
    """Tell whether the run made, changed or removed anything in a file system."""
    if context.pair.target.is_bucket:
        return False
    changing = [pass_ for pass_ in Pass if pass_ is not Pass.VERIFY]
    return any(is_sealed(context, one) for one in changing)


def _record(context: RunContext, seen: Ledger, failed: list[Failure]) -> None:
    """List the failures, up to the limit, and count all of them."""
    listed = failed[: _MOST_LISTED - seen.listed]
    if listed:
        failures.add(context.catalog, context.run, listed)
    seen.listed += len(listed)
    seen.unlisted += len(failed) - len(listed)
    seen.failed += sum(failure.status != "kept" for failure in failed)


def _taken(
    context: RunContext, tell_torn: Callable[[list[bytes]], None]
) -> Iterator[pa.Table]:
    """Yield the paths that the target no longer holds, because others have their names.

    Only buckets can hold `d` beside `d/`.
    """
    into_bucket = context.pair.target.is_bucket
    if into_bucket and (context.pair.source.is_bucket or context.run.trigger == VERIFY):
        return
    known = KnownNames(Manifest(context.catalog, context.run.base_manifest_id))
    taken = Taken(known, context.workspace / "taken")
    for torn in taken.look([Stream(each) for each in overlays_of(context, LOOKED_AT)]):
        tell_torn(torn)
    yield from taken.tables()


def _record_torn(context: RunContext, seen: Ledger, paths: list[bytes]) -> None:
    reason = (
        "was a directory at the source, too, during the run; the next run copies "
        "whatever is there then"
    )
    torn = (Failure(path, "copy", "unstable", "transient", 0, reason) for path in paths)
    _record(context, seen, list(torn))


def _failures_in(merged: Merged) -> list[Failure]:
    outcomes = merged.last_outcomes
    wanted = pa.array([*_FAILED, Status.KEPT], pa.uint8())
    rows = outcomes.filter(pc.is_in(outcomes["status"], wanted)).to_pylist()
    return [_failure(row) for row in rows]


def _bury(context: RunContext, seen: Ledger, merged: Merged) -> None:
    """Record the deletes of a span as tombstones."""
    outcomes = merged.last_outcomes
    gone = outcomes.filter(pc.equal(outcomes["status"], Status.DELETED))
    stones = [
        Tombstone(row["path"], row["kind"], row["size"])
        for row in gone.select(["path", "kind", "size"]).to_pylist()
    ]
    if gone.num_rows:
        tombstones.add(context.catalog, context.run, seen.approved_by, stones)


def _approval(context: RunContext) -> str:
    """Return who approved the deletes of this run."""
    plan = delete_plans.applied_by(context.catalog, context.run)
    return f"{plan.decided_by}: plan {plan.id}" if plan else "policy: delete guarded"


def _note_losses(seen: Ledger, overlays: list[pa.Table], failed: set[bytes]) -> None:
    """Note entries that were made with losses; a verification reports none."""
    found: dict[bytes, Failure] = {}
    for outcomes in overlays:
        held = pc.is_in(outcomes["status"], pa.array(HOLDS, pa.uint8()))
        lossy = outcomes.filter(pc.and_(held, outcomes["reason"].is_valid()))
        found |= {row["path"]: _loss(row) for row in lossy.to_pylist()}
    room = _MOST_LISTED - len(seen.losses)
    seen.losses += [loss for path, loss in found.items() if path not in failed][:room]


def _loss(row: dict[str, Any]) -> Failure:
    verb = Verb(row["verb"]).name.lower()
    return Failure(row["path"], verb, _LOST, "permanent", 0, row["reason"])


def _failure(row: dict[str, Any]) -> Failure:
    status = Status(row["status"])
    may_pass = status in (Status.UNSTABLE, Status.MISMATCH)
    return Failure(
        path=row["path"],
        verb=Verb(row["verb"]).name.lower(),
        status=status.name.lower(),
        error_class="transient" if may_pass else "permanent",
        errno=row["errno"],
        reason=row["reason"] or "",
    )


def _unreadable(context: RunContext) -> Iterator[Failure]:
    """Yield what could not be listed; nothing below it was touched."""
    vanished = 0
    for path, number, reason in map(json.loads, _noted(context)):
        failure = failure_of(Unreadable(bytes.fromhex(path), number, reason))
        if failure:
            yield failure
        else:
            vanished += 1
    if vanished:
        context.notes.append(
            f"{vanished:,} names were listed and gone before they could be read"
        )


def _noted(context: RunContext) -> Iterator[bytes]:
    """Yield what the listing noted, each once; it may be a whole tree."""
    try:
        file = (context.workspace / UNREADABLE_FILE).open("rb")
    except FileNotFoundError:
        return
    lines = DiskSort(context.workspace / "unreadable", _LINES, "line")
    with file:
        while some := list(islice(file, _AT_ONCE)):
            lines.add(pa.table([some], schema=_LINES))
    for table in lines.tables():
        yield from table["line"].to_pylist()


def _lost_shards(context: RunContext) -> Iterator[Failure]:
    """Yield the shards whose movers died at every attempt."""
    for shard in ledger.listed(
        context.catalog, context.run.id, states=[ShardState.FAILED]
    ):
        reason = (
            f"{shard.entries} entries from here on: every mover of shard {shard.file} "
            f"died; see the events of the run"
        )
        yield Failure(shard.first, shard.pass_, "failed", "transient", 0, reason)
