"""Makes the new manifest: the old one plus the outcomes, in one transaction."""

import errno
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from haulage.catalog import delete_plans, failures, tombstones
from haulage.catalog import shards as ledger
from haulage.catalog.failures import Failure
from haulage.catalog.manifests import Manifest, ManifestWriter, PageRef, prune
from haulage.catalog.shards import Shard, ShardState
from haulage.catalog.tombstones import Tombstone
from haulage.model import MANIFEST, Pass, Status, Verb
from haulage.ops.merge import HOLDS, Merged, Stream, merge
from haulage.policy import Fsync
from haulage.stages.rounds import done, outcomes_of
from haulage.stages.sealing import UNREADABLE_FILE
from haulage.stages.site import Site
from haulage.storage.tree.sync import sync_file_system

_LOST = "lost"  # made, but without something that its source has
_MOST_LOST = 10_000  # listed of a run; the summary counts all
_FAILED = (Status.FAILED, Status.UNSTABLE, Status.MISMATCH, Status.BLOCKED)


@dataclass(slots=True)
class Ledger:
    """What the outcomes add up to, path by path."""

    approved_by: str
    failures: list[Failure] = field(default_factory=list)
    losses: list[Failure] = field(default_factory=list)

    @property
    def failed(self) -> int:
        """Return how many entries are not in the target as they should be."""
        return sum(failure.status != "kept" for failure in self.failures)


def commit(site: Site) -> Ledger:
    """Write the manifest of all that is done, make it current, and add it up."""
    is_local = not site.pair.target.is_bucket
    if is_local and site.policy.fsync is Fsync.RUN and site.meter.counts["planned"]:
        sync_file_system(site.pair.target.url)
    seen = Ledger(_approval(site), [*_unreadable(site), *_lost_shards(site)])
    writer = ManifestWriter(site.catalog, site.run)
    streams = [Stream(tables) for tables in _overlays(site)]
    base = _Base(Manifest(site.catalog, site.run.base_manifest_id))
    while (upto := _window(base, streams)) is not None:
        taken = [list(stream.take(upto)) for stream in streams]
        overlays = [pa.concat_tables(tables) for tables in taken if tables]
        if not overlays and base.is_whole_page(upto):
            writer.keep(base.take_page())
            continue
        merged = merge(base.take(upto), overlays)
        writer.add(merged.entries)
        _account(site, seen, merged)
        _note_losses(seen, overlays)
    failures.replace(site.catalog, site.run, [*seen.failures, *seen.losses])
    writer.commit()
    prune(site.catalog, site.row.id)
    return seen


class _Base:
    """The old manifest, read a page at a time and only where an outcome falls."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._refs = list(reversed(manifest.pages))
        self._part: pa.Table = MANIFEST.empty_table()

    @property
    def next_last(self) -> bytes | None:
        if self._part.num_rows:
            last: bytes = self._part["path"][-1].as_py()
            return last
        return self._refs[-1].last if self._refs else None

    def is_whole_page(self, upto: bytes) -> bool:
        return (
            not self._part.num_rows and bool(self._refs) and self._refs[-1].last == upto
        )

    def take_page(self) -> PageRef:
        return self._refs.pop()

    def take(self, upto: bytes) -> pa.Table:
        """Return the entries up to `upto`, which lies in the next page or before it."""
        if not self._part.num_rows and self._refs and self._refs[-1].first <= upto:
            self._part = self._manifest.read(self._refs.pop())
        rest = Stream([self._part])
        taken = pa.concat_tables([self._part.slice(0, 0), *rest.take(upto)])
        self._part = self._part.slice(taken.num_rows)
        return taken


def _window(base: _Base, streams: list[Stream]) -> bytes | None:
    """Return where the next stretch ends, so that no head and no page is cut twice."""
    lasts = [stream.next_last for stream in streams] + [base.next_last]
    return min((last for last in lasts if last is not None), default=None)


def _overlays(site: Site) -> Iterator[Iterator[pa.Table]]:
    """Yield the outcomes of each pass and round, in the order they happened in."""
    rounds = range(site.policy.attempts + 1)
    for round_ in rounds:
        for pass_ in (Pass.COPY, Pass.PUBLISH, Pass.VERIFY):
            yield from _in_order(site, done(site, pass_, round_))
        if round_ == site.policy.attempts - 1:
            for again in range(round_ + 1):
                yield from _in_order(site, done(site, Pass.LINKS, again))
            for part in (0, 1):
                yield from _in_order(site, done(site, Pass.DELETE, part))
    yield from _in_order(site, done(site, Pass.LINKS, site.policy.attempts))
    yield from _in_order(site, done(site, Pass.VERIFY, site.policy.attempts + 1))
    yield from _in_order(site, done(site, Pass.DIRS, 0))


def _in_order(site: Site, shards: list[Shard]) -> Iterator[Iterator[pa.Table]]:
    """Yield streams in each of which the shards lie behind one another.

    Those of parts, of linked files and of what was published lie between others.
    """
    streams: list[list[Shard]] = []
    for shard in sorted(shards, key=lambda shard: (shard.first, shard.last)):
        fits = (stream for stream in streams if stream[-1].last <= shard.first)
        stream = next(fits, None)
        if stream is None:
            streams.append([shard])
        else:
            stream.append(shard)
    for stream in streams:
        yield _sorted_tables(site, stream)


def _sorted_tables(site: Site, shards: list[Shard]) -> Iterator[pa.Table]:
    for shard in shards:
        yield outcomes_of(site, shard).sort_by("path")


def _account(site: Site, seen: Ledger, merged: Merged) -> None:
    """Record what failed in a stretch, and what was deleted."""
    outcomes = merged.last_outcomes
    wanted = pa.array([*_FAILED, Status.KEPT], pa.uint8())
    for row in outcomes.filter(pc.is_in(outcomes["status"], wanted)).to_pylist():
        seen.failures.append(_failure(row))
    gone = outcomes.filter(pc.equal(outcomes["status"], Status.DELETED))
    stones = [
        Tombstone(row["path"], row["kind"], row["size"])
        for row in gone.select(["path", "kind", "size"]).to_pylist()
    ]
    if gone.num_rows:
        tombstones.add(site.catalog, site.run, seen.approved_by, stones)


def _approval(site: Site) -> str:
    """Say by whose leave this run deletes."""
    plan = delete_plans.applied_by(site.catalog, site.run)
    return f"{plan.decided_by}: plan {plan.id}" if plan else "policy: delete guarded"


def _note_losses(seen: Ledger, overlays: list[pa.Table]) -> None:
    """Record what was made, but not exactly; a verification says nothing of that."""
    failed = {failure.path for failure in seen.failures}
    found: dict[bytes, Failure] = {}
    for outcomes in overlays:
        held = pc.is_in(outcomes["status"], pa.array(HOLDS, pa.uint8()))
        lossy = outcomes.filter(pc.and_(held, outcomes["reason"].is_valid()))
        found |= {row["path"]: _loss(row) for row in lossy.to_pylist()}
    room = _MOST_LOST - len(seen.losses)
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


def _unreadable(site: Site) -> Iterator[Failure]:
    """Yield what could not be listed; everything below it was left as it is."""
    try:
        lines = (site.workspace / UNREADABLE_FILE).read_text().splitlines()
    except FileNotFoundError:
        return
    for path, number, refused in {tuple(json.loads(line)) for line in lines}:
        if number == errno.ENOENT:  # removed since its parent was listed
            continue
        reason = refused or f"could not be listed: {os.strerror(number)}"
        status = "refused" if refused else "unreadable"
        yield Failure(bytes.fromhex(path), "list", status, "permanent", number, reason)


def _lost_shards(site: Site) -> Iterator[Failure]:
    """Yield the shards whose movers died at every attempt."""
    for shard in ledger.listed(site.catalog, site.run.id, states=[ShardState.FAILED]):
        reason = (
            f"{shard.entries} entries from here on: every mover of shard {shard.file} "
            f"died; see the events of the run"
        )
        yield Failure(shard.first, shard.pass_, "failed", "transient", 0, reason)
