"""Lays a run's outcomes over the old manifest, page by page, into the new one."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from haulage.model import MANIFEST, OUTCOME, Status, Verb, Verified

HOLDS = (
    Status.COPIED,
    Status.MADE,
    Status.UPDATED,
    Status.UNCHANGED,
    Status.VERIFIED,
)
_GONE = (Status.DELETED, Status.ABSENT, Status.MISMATCH)
PATHS = pa.schema([OUTCOME.field("path")])
NOTHING_TAKEN = PATHS.empty_table()
_BASE = -1  # rank of the old manifest's rows


@dataclass(frozen=True, slots=True)
class Merged:
    """One stretch of the order: its entries now, and each path's last outcome."""

    entries: pa.Table
    last_outcomes: pa.Table  # OUTCOME


class Stream:
    """A sorted stream of tables, taken up in windows."""

    def __init__(self, tables: Iterable[pa.Table]) -> None:
        """Wrap `tables`, each sorted by path and all behind one another."""
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
    """What is taken up in windows: it tells where its head ends."""

    @property
    def next_last(self) -> bytes | None:
        """Return the last path at the head; None at the end."""
        ...


def next_end(streams: Iterable[HasEnd]) -> bytes | None:
    """Return where the next window of all ends, so that no head is cut twice."""
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


def merge(
    base: pa.Table, overlays: Sequence[pa.Table], taken: pa.Table = NOTHING_TAKEN
) -> Merged:
    """Lay outcomes over entries of one stretch; later overlays win.

    An outcome that says what the target holds replaces the entry, one that says it is
    gone or proven wrong removes it, and any other leaves what was there. What has lost
    its name to another kind is `taken`, and goes whatever is said of it.
    """
    ranked = [_ranked(base, _BASE, _BASE)]
    for rank, outcomes in enumerate(overlays):
        effects = _effects(outcomes)
        says = np.flatnonzero(effects)
        rows = outcomes.take(says).select(MANIFEST.names)
        ranked.append(_ranked(rows, rank, effects[says]))
    last = _last_of_each_path(pa.concat_tables(ranked))
    is_held = pa.array(last["effect"].to_numpy() != _REMOVE)
    is_taken = pc.is_in(last["path"], taken["path"])
    holds = last.filter(pc.and_not(is_held, is_taken))
    return Merged(
        entries=holds.select(MANIFEST.names).cast(MANIFEST),
        last_outcomes=_last_outcomes(overlays),
    )


_KEEP, _PUT, _REMOVE = 0, 1, 2


def _effects(outcomes: pa.Table) -> np.ndarray:
    """Return what each outcome does to the manifest.

    A directory that was only made counts when the dirs pass has finished it; what
    stands for one in a bucket is finished at once.
    """
    statuses, verbs = outcomes["status"].to_numpy(), outcomes["verb"].to_numpy()
    effects = np.where(np.isin(statuses, HOLDS), _PUT, _KEEP)
    effects[np.isin(statuses, _GONE)] = _REMOVE
    is_finished = outcomes["verified"].to_numpy() != Verified.NONE
    effects[(verbs == Verb.MKDIR) & ~is_finished] = _KEEP
    return effects


def _ranked(rows: pa.Table, rank: int, effect: "int | np.ndarray") -> pa.Table:
    count = rows.num_rows
    rows = rows.append_column("rank", pa.array(np.full(count, rank)))
    return rows.append_column("effect", pa.array(np.broadcast_to(effect, count)))


def _last_of_each_path(rows: pa.Table) -> pa.Table:
    rows = rows.sort_by([("path", "ascending"), ("rank", "ascending")]).combine_chunks()
    return rows.filter(_is_last(rows["path"]))


def _is_last(paths: pa.ChunkedArray) -> pa.Array:
    """Tell of sorted paths which is the last of its equals."""
    if not len(paths):
        return pa.array([], pa.bool_())
    ids = paths.combine_chunks().dictionary_encode().indices.to_numpy()
    return pa.array(np.append(ids[1:] != ids[:-1], True))


def _last_outcomes(overlays: Sequence[pa.Table]) -> pa.Table:
    """Return the last word on each path; that a part of a file arrived is none."""
    every = pa.concat_tables(
        table.append_column("rank", pa.array(np.full(table.num_rows, rank)))
        for rank, table in enumerate(overlays or [OUTCOME.empty_table()])
    )
    every = every.filter(pa.array(every["status"].to_numpy() != Status.PART))
    return _last_of_each_path(every).drop_columns("rank")
