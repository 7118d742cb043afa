"""Decide which name of a linked file is copied; the others are linked to it.

A group is all listed names of one source inode. Its rows are sorted: gone names first,
then unchanged ones, so that the first listed name leads. One pass that holds one row is
enough for groups of any size.
"""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from haulage.model import ACTION, Verb
from haulage.planning.columns import with_columns
from haulage.planning.link_rows import LINKS, Rank

GROUPED = pa.schema([pa.field("key", pa.binary(), nullable=False), *LINKS])

# A member `awaits` what becomes of a leader that has an action of its own.
MEMBER = pa.schema([*ACTION, pa.field("awaits", pa.bool_(), nullable=False)])
_PROOF = ("checksum", "verified", "racy", "made")
_KEY = struct.Struct(">QQB")


class Elected(NamedTuple):
    """Leaders that need an action, and members to be linked to them."""

    leaders: pa.Table  # ACTION
    members: pa.Table  # MEMBER


def with_key(links: pa.Table) -> pa.Table:
    """Put the key first by which groups are sorted together."""
    names = ("dev", "ino", "rank", "path")
    rows = zip(*(links[name].to_pylist() for name in names), strict=True)
    keys = [_KEY.pack(dev, ino, rank) + path for dev, ino, rank, path in rows]
    return pa.table([pa.array(keys, pa.binary()), *links.columns], schema=GROUPED)


def elect(tables: Iterable[pa.Table]) -> Iterator[Elected]:
    """Yield the leaders and members of groups that have changed.

    `tables` are GROUPED and sorted by key.
    """
    election = _Election()
    for table in tables:
        yield election.take(table)
    yield election.end()


_Inode = tuple[int, int]


@dataclass(slots=True)
class _Group:
    """The group whose rows are arriving; `row` is its leader's in the current table."""

    inode: _Inode
    gone: int = 0
    row: int = -1
    was: _Inode | None = None  # the inode that the leader was known by
    verb: int = 0
    rank: int = Rank.GONE
    shared: int = 0


@dataclass(slots=True)
class _Found:
    """What was found in one table: rows, and the values to write into them."""

    leaders: list[int] = field(default_factory=list)
    shared: list[int] = field(default_factory=list)
    leaving: list[int] = field(default_factory=list)
    members: list[int] = field(default_factory=list)
    led_by: list[int] = field(default_factory=list)

    def close(self, group: _Group) -> None:
        """Note the leader of a group that has ended, if it needs an action."""
        if group.row >= 0 and group.verb:
            self.leaders.append(group.row)
            self.shared.append(group.shared)
            # Only under the inode that it had can it be told what has left.
            self.leaving.append(group.gone if group.was == group.inode else 0)


class _Election:
    """Goes through sorted tables and holds the leader of the open group."""

    def __init__(self) -> None:
        self._group = _Group((-1, -1))
        self._leader = GROUPED.empty_table()

    def take(self, table: pa.Table) -> Elected:
        carried = self._leader.num_rows
        table = pa.concat_tables([self._leader, table])
        names = ("dev", "ino", "rank", "was_dev", "was_ino", "verb")
        rows = zip(*(table[name].to_pylist() for name in names), strict=True)
        found = _Found()
        for row, (dev, ino, rank, was_dev, was_ino, verb) in enumerate(rows):
            if row < carried:
                continue
            if (dev, ino) != self._group.inode:
                found.close(self._group)
                self._group = _Group((dev, ino))
            known = None if rank == Rank.NEW else (was_dev, was_ino)
            self._weigh(found, row, rank, known, verb)
        self._carry(table)
        return _elected(table, found)

    def _weigh(
        self, found: _Found, row: int, rank: int, was: _Inode | None, verb: int
    ) -> None:
        group = self._group
        if rank == Rank.GONE:
            group.gone += 1
            return
        if group.row < 0:
            group.row, group.rank, group.was, group.verb = row, rank, was, verb
            group.shared = 1
            return
        together = was is not None and was == group.was
        group.shared += together
        if not (together and rank == group.rank == Rank.UNCHANGED):
            found.members.append(row)
            found.led_by.append(group.row)

    def _carry(self, table: pa.Table) -> None:
        row = self._group.row
        self._leader = table.slice(row, 1) if row >= 0 else table.slice(0, 0)
        self._group.row = min(row, 0)

    def end(self) -> Elected:
        """Close the last group."""
        found = _Found()
        found.close(self._group)
        return _elected(self._leader, found)


def _elected(table: pa.Table, found: _Found) -> Elected:
    leaders = table.take(pa.array(found.leaders, pa.int64())).select(ACTION.names)
    leaders = with_columns(
        leaders,
        shared=pa.array(found.shared, pa.uint32()),
        leaving=pa.array(found.leaving, pa.uint32()),
    )
    members = table.take(pa.array(found.members, pa.int64())).select(ACTION.names)
    led_by = table.take(pa.array(found.led_by, pa.int64()))
    rows = members.num_rows
    members = with_columns(
        members,
        verb=pa.array(np.full(rows, Verb.HARD, np.uint8)),
        leader=led_by["path"],
        length=pa.array(np.zeros(rows, np.int64)),
        **{name: led_by[name] for name in _PROOF},
    )
    awaits = pa.array(led_by["verb"].to_numpy() != 0)
    return Elected(leaders, pa.table([*members.columns, awaits], schema=MEMBER))
