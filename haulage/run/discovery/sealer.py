"""Gather planned actions into shards and waves, batch by batch."""

import json
import time
from collections.abc import Iterator, Sequence
from itertools import count

import pyarrow as pa

from haulage.catalog.runs import shards as ledger
from haulage.catalog.runs.shards import Discovery, NewShard, Shard
from haulage.disksort import gathered
from haulage.model import ACTION, Pass
from haulage.planning.actions import Plan
from haulage.planning.pack import costs, pack
from haulage.private import make_file
from haulage.run.context.run_context import RunContext
from haulage.run.links.spool import links_of
from haulage.run.sharding.seal import UNREADABLE_FILE, delete_shards, write
from haulage.run.sharding.waves import Wave
from haulage.storage.tree.listing.walk import Unreadable

_SEAL_AFTER_S = 2.0
_SEAL_AFTER_ENTRIES = 1_000_000  # listed without a change; bounds what a resume repeats
_SEAL_AFTER_HELD = 50_000  # linked files, or deletes, in memory
_WAVE_SHARE = 0.04  # of the shards so far: some 250 waves for a million shards


class Sealer:
    """Gathers planned actions; seals them when a shard is full or its time is up."""

    def __init__(self, context: RunContext, known: Sequence[Shard]) -> None:
        """Continue after the shards that an earlier part of the run sealed."""
        self._context = context
        sealed = [shard.seq for shard in known if shard.pass_ is Pass.COPY]
        deletes = [shard.seq for shard in known if shard.pass_ is Pass.DELETE]
        self._seq = count(max(sealed, default=-1) + 1)
        self._delete_seq = count(max(deletes, default=-1) + 1)
        self._shards = len(sealed)
        self._wave_number = 1 + max((shard.wave for shard in known), default=0)
        self._wave: list[Shard] = []
        self._last = context.run.listed_until or b""
        self.links = links_of(context.workspace)
        self.links.forget_behind(context.run.listed_until)
        self._clear()

    def _clear(self) -> None:
        self._actions: list[pa.Table] = []
        self._deletes: list[pa.Table] = []
        self._listed = self._entries = self._gone = self._cost = 0
        self._since = time.monotonic()

    def add(self, plan: Plan, unreadable: Sequence[Unreadable]) -> None:
        """Add the plan of one page."""
        self._last = max(self._last, plan.last)
        self._listed += plan.listed
        counts = self._context.progress.counts
        counts["listed"] += plan.listed
        counts["unchanged"] += plan.unchanged
        counts["skipped"] += plan.skipped
        counts["planned"] += plan.actions.num_rows
        counts["planned_bytes"] += int(plan.actions["length"].to_numpy().sum())
        counts["deletes"] += plan.deletes.num_rows
        counts["delete_bytes"] += int(plan.deletes["length"].to_numpy().sum())
        counts["unreadable"] += len(unreadable)
        if plan.actions.num_rows:
            self._actions.append(plan.actions)
            self._entries += plan.actions.num_rows
            self._cost += int(costs(plan.actions, self._context.bounds).sum())
        if plan.deletes.num_rows:
            self._deletes.append(plan.deletes)
            self._gone += plan.deletes.num_rows
        self.links.add(plan.links)
        self._note_unreadable(unreadable)

    def _note_unreadable(self, unreadable: Sequence[Unreadable]) -> None:
        if not unreadable:
            return
        noted = self._context.workspace / UNREADABLE_FILE
        make_file(noted)
        with noted.open("a", encoding="utf-8") as file:
            for lost in unreadable:
                line = [lost.path.hex(), lost.errno, lost.reason]
                file.write(json.dumps(line) + "\n")

    def is_due(self) -> bool:
        """Tell whether the gathered actions make a shard."""
        bounds = self._context.bounds
        if self._entries >= bounds.max_entries or self._cost >= bounds.max_bytes:
            return True
        if self._listed >= _SEAL_AFTER_ENTRIES:
            return True
        if max(self.links.held_rows, self._gone) >= _SEAL_AFTER_HELD:
            return True
        waited = time.monotonic() - self._since
        return bool(self._actions) and waited > _SEAL_AFTER_S

    def seal(self, *, finished: bool) -> Iterator[Wave]:
        """Record the gathered actions and discovery's position; yield full waves."""
        self.links.flush()
        leaders = self._leaders() if finished and not self.links.is_empty else ()
        context = self._context
        gone = (
            pa.concat_tables(self._deletes) if self._deletes else ACTION.empty_table()
        )
        new = [
            *self._copy_shards(),
            *leaders,
            *delete_shards(context, self._delete_seq, gone),
        ]
        done = Discovery(self._last, dict(context.progress.counts), finished)
        sealed = ledger.seal(context.catalog, context.run, new, done)
        self._clear()
        copies = [shard for shard in sealed if shard.pass_ is Pass.COPY]
        self._shards += len(copies)
        self._wave += copies
        if self._wave and (finished or len(self._wave) >= self._shards * _WAVE_SHARE):
            yield Wave(f"copy wave {self._wave_number}", tuple(self._wave))
            self._wave_number += 1
            self._wave = []

    def _copy_shards(self) -> Iterator[NewShard]:
        if self._actions:
            yield from self._packed(pa.concat_tables(self._actions))

    def _packed(self, actions: pa.Table) -> Iterator[NewShard]:
        for shard in pack(actions, self._context.bounds):
            yield write(
                self._context,
                Pass.COPY,
                0,
                next(self._seq),
                shard,
                wave=self._wave_number,
            )

    def _leaders(self) -> list[NewShard]:
        """Decide about linked files, all of which are listed now, and count them."""
        shards: list[NewShard] = []
        counts = self._context.progress.counts
        known = self.links.elect()
        for leaders in gathered(self.links.leaders()):
            counts["planned_bytes"] += int(leaders["length"].to_numpy().sum())
            shards += self._packed(leaders)
        counts["planned"] += known.leaders + known.members
        counts["unchanged"] += known.listed - known.leaders - known.members
        return shards
