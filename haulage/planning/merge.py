"""Merge a run's outcomes into the old manifest, page by page."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from haulage.model import MANIFEST, OUTCOME, Status, Verb, Verified
from haulage.planning.columns import with_columns

HOLDS = (
    Status.COPIED,
    Status.MADE,
    Status.UPDATED,
    Status.UNCHANGED,
    Status.VERIFIED,
)
_GONE = (Status.DELETED, Status.REPLACED, Status.ABSENT, Status.MISMATCH)
_NOTHING = (Status.PART, Status.RESTORED)  # is said of the entry
_PATH = MANIFEST.field("path").type
PATHS = pa.schema([OUTCOME.field("path")])
NO_PATHS = PATHS.empty_table()
_BASE = -1  # rank of the old manifest's rows


@dataclass(frozen=True, slots=True)
class Merged:
    """One span of the order: its new entries, and each path's last outcome."""

    entries: pa.Table
    last_outcomes: pa.Table  # OUTCOME


class Stream:
    """A sorted stream of tables, read in windows."""

    def __init__(self, tables: Iterable[pa.Table]) -> None:
        """Wrap `tables`, each sorted by path, and each after the one before."""
        self._tables = iter(tables)
        self._head: pa.Table | None = None
        self._load()

    def _load(self) -> None:
        while self._head is None or not self._head.num_rows:
            head = next(self._tables, None)
            if head is None:
                self._head = None
                return
            self._head = head

    @property
    def next_last(self) -> bytes | None:
        """Return the last path of the table at the head; None at the end."""
        if self._head is None:
            return None
        last: bytes = self._head["path"][-1].as_py()
        return last

    def take(self, upto: bytes) -> Iterator[pa.Table]:
        """Yield the rows up to and with `upto`."""
        while self._head is not None:
            paths = self._head["path"]
            cut = bisect_right(paths, upto, key=lambda path: path.as_py())
            if cut:
                yield self._head.slice(0, cut)
            self._head = self._head.slice(cut)
            if self._head.num_rows:
                return
            self._load()


class HasEnd(Protocol):
    """A stream that is read in windows: it tells where its head ends."""

    @property
    def next_last(self) -> bytes | None:
        """Return the last path at the head; None at the end."""
        ...


def next_end(streams: Iterable[HasEnd]) -> bytes | None:
    """Return where the next common window ends, so that no head is cut twice."""
    lasts = (stream.next_last for stream in streams)
    return min((last for last in lasts if last is not None), default=None)


def among(tables: Iterable[pa.Table], paths: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Yield the rows whose path is one of `paths`; both are sorted by path."""
    wanted = Stream(paths)
    for table in tables:
        is_wanted = np.zeros(table.num_rows, np.bool_)
        for some in wanted.take(table["path"][-1].as_py()):
            found = pc.is_in(table["path"], some["path"].combine_chunks())
            is_wanted |= found.to_numpy()
        yield table.filter(pa.array(is_wanted))


class Besides(NamedTuple):
    """Changes to entries without an outcome of their own, as columns of paths."""

    taken: pa.Table = NO_PATHS  # their names are another kind's now
    touched: pa.Table = NO_PATHS  # directories in which something was made or removed
    begun: pa.Table = NO_PATHS  # an attempt at them was lost before it said anything


NOTHING_BESIDES = Besides()


def merge(
    base: pa.Table, overlays: Sequence[pa.Table], besides: Besides = NOTHING_BESIDES
) -> Merged:
    """Lay outcomes over entries of one span; later overlays win.

    An outcome that states what the target holds replaces the entry; one that states
    that the entry is gone or wrong removes it. Any other leaves the old entry, but
    marked as doubtful: it is unknown how far the attempt came, so the next run checks
    it.
    """
    ranked = [_ranked(base, _BASE, _BASE)]
    for rank, outcomes in enumerate(overlays):
        effects = _effects(outcomes)
        says = np.flatnonzero(effects)
        rows = outcomes.take(says).select(MANIFEST.names)
        ranked.append(_ranked(rows, rank, effects[says]))
    every = pa.concat_tables(ranked)
    in_doubt = every["effect"].to_numpy() == _DOUBT
    last = _last_of_each_path(every.filter(pa.array(~in_doubt)))
    is_held = pa.array(last["effect"].to_numpy() != _REMOVE)
    is_taken = pc.is_in(last["path"], besides.taken["path"])
    entries = last.filter(pc.and_not(is_held, is_taken)).select(MANIFEST.names)
    doubted = [_unfinished(overlays, besides.touched), besides.begun["path"]]
    if in_doubt.any():
        said = _last_of_each_path(every)
        doubted.append(said.filter(pc.equal(said["effect"], _DOUBT))["path"])
    return Merged(
        entries=_doubted(entries, doubted).cast(MANIFEST),
        last_outcomes=_last_outcomes(overlays),
    )


_KEEP, _PUT, _REMOVE, _DOUBT = 0, 1, 2, 3


def _effects(outcomes: pa.Table) -> np.ndarray:
    """Return what each outcome does to the manifest.

    If no object stands for a directory in a bucket, that says nothing of what had its
    name before.
    """
    statuses, verbs = outcomes["status"].to_numpy(), outcomes["verb"].to_numpy()
    effects = np.where(np.isin(statuses, HOLDS), _PUT, _DOUBT)
    is_gone = np.isin(statuses, _GONE)
    effects[is_gone] = _REMOVE
    effects[np.isin(statuses, _NOTHING) | (is_gone & (verbs == Verb.MKDIR))] = _KEEP
    return effects


def _unfinished(overlays: Sequence[pa.Table], touched: pa.Table) -> pa.ChunkedArray:
    """Return directories that were made or touched, and whose attributes were not set.

    In a bucket an object for a directory is finished at once.
    """
    unfinished = [touched["path"]]
    finished = [NO_PATHS["path"]]
    for outcomes in overlays:
        verb = outcomes["verb"]
        holds = pc.is_in(outcomes["status"], pa.array(HOLDS, pa.uint8()))
        proven = pc.not_equal(outcomes["verified"], Verified.NONE)
        made = pc.and_not(pc.equal(verb, Verb.MKDIR), proven)
        unfinished.append(outcomes["path"].filter(pc.and_(holds, made)))
        is_done = pc.and_(holds, pc.equal(verb, Verb.DIR))
        finished.append(outcomes["path"].filter(is_done))
    paths = _joined(unfinished)
    return paths.filter(pc.invert(pc.is_in(paths, _joined(finished))))


def _doubted(entries: pa.Table, doubted: Sequence[pa.ChunkedArray]) -> pa.Table:
    paths = _joined(doubted)
    if not len(paths):
        return entries
    racy = pc.or_(entries["racy"], pc.is_in(entries["path"], paths))
    return with_columns(entries, racy=racy)


def _joined(paths: Sequence[pa.ChunkedArray]) -> pa.ChunkedArray:
    return pa.chunked_array([chunk for each in paths for chunk in each.chunks], _PATH)


def _ranked(rows: pa.Table, rank: int, effect: "int | np.ndarray") -> pa.Table:
    count = rows.num_rows
    rows = rows.append_column("rank", pa.array(np.full(count, rank)))
    return rows.append_column("effect", pa.array(np.broadcast_to(effect, count)))


def _last_of_each_path(rows: pa.Table) -> pa.Table:
    rows = rows.sort_by([("path", "ascending"), ("rank", "ascending")]).combine_chunks()
    return rows.filter(_is_last(rows["path"]))


def _is_last(paths: pa.ChunkedArray) -> pa.Array:
    """Tell for sorted paths which is the last of its equals."""
    if not len(paths):
        return pa.array([], pa.bool_())
    ids = paths.combine_chunks().dictionary_encode().indices.to_numpy()
    return pa.array(np.append(ids[1:] != ids[:-1], True))


def _last_outcomes(overlays: Sequence[pa.Table]) -> pa.Table:
    """Return each path's last outcome; the arrival of a part does not count."""
    every = pa.concat_tables(
        table.append_column("rank", pa.array(np.full(table.num_rows, rank)))
        for rank, table in enumerate(overlays or [OUTCOME.empty_table()])
    )
    every = every.filter(pa.array(every["status"].to_numpy() != Status.PART))
    return _last_of_each_path(every).drop_columns("rank")
