"""Turns planned actions into recorded shards, batch by batch, and these into waves."""

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import count

import numpy as np
import pyarrow as pa

from haulage.catalog import shards as ledger
from haulage.catalog.shards import Discovery, NewShard, Shard
from haulage.model import ACTION, Pass, Verb
from haulage.ops.pack import costs, pack
from haulage.ops.plan import Plan
from haulage.ops.rows import is_dir
from haulage.private import make_file
from haulage.shardfile import Job, write_shard
from haulage.stages.links import gathered, links_of
from haulage.stages.site import Site
from haulage.stages.wave import Wave
from haulage.storage.tree.walk import Unreadable

PART_PREFIX = "part-"  # of the files of shards that are one part of a split file
UNREADABLE_FILE = "unreadable.jsonl"
FILES_ROUND, DIRS_ROUND = 0, 1  # of the delete pass
_SEAL_AFTER_S = 2.0
_SEAL_AFTER_ENTRIES = 1_000_000  # listed without a change; bounds what a resume repeats
_SEAL_AFTER_HELD = 50_000  # linked files, or deletes, in memory
_WAVE_SHARE = 0.04  # of the shards so far: some 250 waves for a million shards


def write(  # noqa: PLR0913  all that a shard's row says
    site: Site,
    pass_: Pass,
    round_: int,
    seq: int,
    actions: pa.Table,
    *,
    wave: int = 0,
    job: Job | None = None,
) -> NewShard:
    """Write a shard's file and return what the catalog will say of it."""
    prefix = PART_PREFIX if actions["verb"][0].as_py() == Verb.PART else ""
    name = f"shards/{prefix}{pass_}-{round_}-{seq:06}.parquet"
    write_shard(site.workspace / name, actions, job or site.job)
    paths = actions["path"]
    first, last = paths[0].as_py(), paths[-1].as_py()
    size = int(actions["length"].to_numpy().sum())
    return NewShard(
        pass_, round_, seq, wave, name, actions.num_rows, size,
        min(first, last), max(first, last),
    )  # fmt: skip


def is_part(shard: Shard) -> bool:
    """Tell whether a shard is one part of a split file."""
    return shard.file.startswith(f"shards/{PART_PREFIX}")


def seal(
    site: Site, pass_: Pass, round_: int, tables: Iterable[pa.Table]
) -> list[Shard]:
    """Record `tables` as the shards of one pass and round, all at once."""
    new = [
        write(site, pass_, round_, seq, table)
        for seq, table in enumerate(tables)
        if table.num_rows
    ]
    return ledger.seal(site.catalog, site.run, new) if new else []


def delete_shards(site: Site, seq: Iterator[int], gone: pa.Table) -> Iterator[NewShard]:
    """Write files apart from directories, which can only go when they are empty.

    `gone` is in canonical order; so are the numbers of the directories' shards, which
    run from the highest one down.
    """
    is_last = is_dir(gone)
    files = gone.filter(pa.array(~is_last))
    dirs = gone.take(np.flatnonzero(is_last)[::-1])
    step = site.bounds.max_entries
    for start in range(0, files.num_rows, step):
        rows = files.slice(start, step)
        yield write(site, Pass.DELETE, FILES_ROUND, next(seq), rows)
    for start in reversed(range(0, dirs.num_rows, step)):
        rows = dirs.slice(start, step)
        yield write(site, Pass.DELETE, DIRS_ROUND, next(seq), rows)


class Sealer:
    """Gathers what discovery plans; seals it when a shard is full or time is up."""

    def __init__(self, site: Site, known: Sequence[Shard]) -> None:
        """Go on behind the shards that an earlier part of the run sealed."""
        self._site = site
        sealed = [shard.seq for shard in known if shard.pass_ is Pass.COPY]
        deletes = [shard.seq for shard in known if shard.pass_ is Pass.DELETE]
        self._seq = count(max(sealed, default=-1) + 1)
        self._delete_seq = count(max(deletes, default=-1) + 1)
        self._shards = len(sealed)
        self._wave_number = 1 + max((shard.wave for shard in known), default=0)
        self._wave: list[Shard] = []
        self._last = site.run.listed_until or b""
        self.links = links_of(site.workspace)
        self.links.forget_behind(site.run.listed_until)
        self._clear()

    def _clear(self) -> None:
        self._actions: list[pa.Table] = []
        self._deletes: list[pa.Table] = []
        self._listed = self._entries = self._gone = self._cost = 0
        self._since = time.monotonic()

    def add(self, plan: Plan, unreadable: Sequence[Unreadable]) -> None:
        """Take up one page's plan."""
        self._last = max(self._last, plan.last)
        self._listed += plan.listed
        counts = self._site.meter.counts
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
            self._cost += int(costs(plan.actions, self._site.bounds).sum())
        if plan.deletes.num_rows:
            self._deletes.append(plan.deletes)
            self._gone += plan.deletes.num_rows
        self.links.add(plan.links)
        self._note_unreadable(unreadable)

    def _note_unreadable(self, unreadable: Sequence[Unreadable]) -> None:
        if not unreadable:
            return
        noted = self._site.workspace / UNREADABLE_FILE
        make_file(noted)
        with noted.open("a", encoding="utf-8") as file:
            for lost in unreadable:
                line = [lost.path.hex(), lost.errno, lost.reason]
                file.write(json.dumps(line) + "\n")

    def is_due(self) -> bool:
        """Tell whether what was gathered makes a shard."""
        bounds = self._site.bounds
        if self._entries >= bounds.max_entries or self._cost >= bounds.max_bytes:
            return True
        if self._listed >= _SEAL_AFTER_ENTRIES:
            return True
        if max(self.links.held_rows, self._gone) >= _SEAL_AFTER_HELD:
            return True
        waited = time.monotonic() - self._since
        return bool(self._actions) and waited > _SEAL_AFTER_S

    def seal(self, *, finished: bool) -> Iterator[Wave]:
        """Record what was gathered and how far discovery is; yield what is due."""
        self.links.keep()
        leaders = self._leaders() if finished and not self.links.is_empty else ()
        site = self._site
        gone = (
            pa.concat_tables(self._deletes) if self._deletes else ACTION.empty_table()
        )
        new = [
            *self._copy_shards(),
            *leaders,
            *delete_shards(site, self._delete_seq, gone),
        ]
        done = Discovery(self._last, dict(site.meter.counts), finished)
        sealed = ledger.seal(site.catalog, site.run, new, done)
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
        for shard in pack(actions, self._site.bounds):
            yield write(
                self._site,
                Pass.COPY,
                0,
                next(self._seq),
                shard,
                wave=self._wave_number,
            )

    def _leaders(self) -> list[NewShard]:
        """Decide about linked files, all of which are listed, and count them."""
        shards: list[NewShard] = []
        counts = self._site.meter.counts
        known = self.links.elect()
        for leaders in gathered(self.links.leaders()):
            counts["planned_bytes"] += int(leaders["length"].to_numpy().sum())
            shards += self._packed(leaders)
        counts["planned"] += known.leaders + known.members
        counts["unchanged"] += known.listed - known.leaders - known.members
        return shards
