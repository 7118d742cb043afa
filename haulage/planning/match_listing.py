"""Merge a listing with what is known of the target; both in canonical order."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from haulage.model import ENTRY, MANIFEST, SELECTED
from haulage.planning.changed_fields import Against, changed_fields
from haulage.planning.columns import is_dir, is_linked
from haulage.planning.difference import Difference, Linked
from haulage.storage.tree.listing.walk import Unreadable

_WINDOW_ROWS = 100_000  # of what is known, beside one page of the listing


class Known:
    """The known entries, read in windows that end at a given path."""

    def __init__(self, tables: Iterable[pa.Table]) -> None:
        """Read only the first of the tables."""
        self._tables = (table for table in tables if table.num_rows)
        self._head = next(self._tables, None)

    def beside(self, page: pa.Table) -> Iterator[tuple[pa.Table, pa.Table, bytes]]:
        """Yield a page in parts, each with the known entries up to its end.

        The third value is that end. Where very many entries are gone, the known ones
        are more than a page.
        """
        last = page["path"][-1].as_py()
        while True:
            window, upto = self._take_until(last)
            if upto == last:
                yield page, window, last
                return
            cut = _rows_up_to(page, upto)
            yield page.slice(0, cut), window, upto
            page = page.slice(cut)

    def _take_until(self, last: bytes) -> tuple[pa.Table, bytes]:
        """Return entries up to and with `last`, or enough of them, and their end."""
        taken, rows = [MANIFEST.empty_table()], 0
        while self._head is not None:
            if rows >= _WINDOW_ROWS:
                last = taken[-1]["path"][-1].as_py()
                break
            cut = _rows_up_to(self._head, last)
            taken.append(self._head.slice(0, cut))
            if cut < self._head.num_rows:
                self._head = self._head.slice(cut)
                break
            rows += cut
            self._head = next(self._tables, None)
        return pa.concat_tables(taken).combine_chunks(), last

    def rest(self) -> Iterator[pa.Table]:
        """Yield the remaining entries, in at least one table."""
        yield MANIFEST.empty_table() if self._head is None else self._head
        yield from self._tables


def _rows_up_to(table: pa.Table, last: bytes) -> int:
    paths = table["path"]
    rows = len(paths)
    if paths[-1].as_py() > last:
        rows = bisect_right(paths, last, key=lambda path: path.as_py())
    return rows


def compare(
    pieces: Iterable[pa.Table | Unreadable], against: Against
) -> Iterator[Difference]:
    """Yield the difference page by page, then the known entries after the listing."""
    known = Known(against.known)
    lost = _Lost()
    last = b""
    for piece in pieces:
        if isinstance(piece, Unreadable):
            lost.add(piece)
        elif piece.num_rows:
            for part, window, last in known.beside(piece):
                yield from _page(part, window, against, lost, last)
    for window in known.rest():
        last = window["path"][-1].as_py() if window.num_rows else last
        yield from _page(ENTRY.empty_table(), window, against, lost, last)
    if against.mounts:
        yield from against.mounts.rest()


class _Lost:
    """All that could not be listed, and what of it is still to be reported."""

    def __init__(self) -> None:
        self.all: list[Unreadable] = []
        self._untold: list[Unreadable] = []

    def add(self, piece: Unreadable) -> None:
        self.all.append(piece)
        if not piece.left_out:
            self._untold.append(piece)

    def take_untold(self) -> tuple[Unreadable, ...]:
        untold, self._untold = tuple(self._untold), []
        return untold


def _page(
    listed: pa.Table, window: pa.Table, against: Against, lost: _Lost, last: bytes
) -> Iterator[Difference]:
    if against.spellings:
        listed, refused = against.spellings.take(listed)
        for piece in refused:
            lost.add(piece)
    was_row, gone = match(listed["path"], window["path"])
    listed, selected = _selected(listed)
    known = np.flatnonzero(was_row >= 0)
    now = listed if len(known) == listed.num_rows else listed.take(known)
    was = window
    if len(known) != window.num_rows or (was_row[known] != np.arange(len(known))).any():
        was = window.take(was_row[known])
    fields = changed_fields(now, was, against)
    is_new, is_known = (was_row < 0) & selected, selected[known]
    missing = _really_gone(window.take(gone), against, lost.all)
    linked = None
    if against.links:
        apart = is_new & is_linked(listed)
        kin = is_known & (is_linked(now) | is_linked(was) & ~is_dir(now))
        linked = Linked(
            new=listed.filter(pa.array(apart)),
            known=now.filter(pa.array(kin)),
            was=was.filter(pa.array(kin)),
            fields=fields[kin],
            gone=missing.filter(pa.array(is_linked(missing))),
        )
        is_new, is_known = is_new & ~apart, is_known & ~kin
    changed = np.flatnonzero((fields != 0) & is_known)
    found = Difference(
        last=last,
        listed=int(selected.sum()),
        new=listed.take(np.flatnonzero(is_new)),
        changed=now.take(changed),
        was=was.take(changed),
        fields=fields[changed],
        gone=missing,
        unreadable=lost.take_untold(),
        linked=linked,
    )
    if against.mounts:
        yield from against.mounts.take(found, now, was)
    else:
        yield found


def _selected(listed: pa.Table) -> tuple[pa.Table, np.ndarray]:
    """Remove the column that tells which entries are included; by default all are."""
    if SELECTED not in listed.schema.names:
        return listed, np.ones(listed.num_rows, np.bool_)
    return listed.drop_columns(SELECTED), listed[SELECTED].to_numpy()


def match(
    listed: pa.ChunkedArray, window: pa.ChunkedArray
) -> tuple[np.ndarray, np.ndarray]:
    """Return each listed path's row in the window or -1, and the rows not listed."""
    if listed.equals(window):
        return np.arange(len(listed)), np.empty(0, np.int64)
    if not len(window):
        return np.full(len(listed), -1), np.empty(0, np.int64)
    found = pc.index_in(listed, value_set=window.combine_chunks())
    rows = pc.fill_null(found, -1).to_numpy().astype(np.int64)
    missed = np.ones(len(window), np.bool_)
    missed[rows[rows >= 0]] = False
    return rows, np.flatnonzero(missed)


def _really_gone(
    missing: pa.Table, against: Against, unreadable: list[Unreadable]
) -> pa.Table:
    """Leave out what only seems gone: not covered by the filters, or unreadable."""
    if not missing.num_rows or against.adopted:
        return missing.slice(0, 0)
    gone = against.covers(missing)
    listed = pa.array([lost.path for lost in unreadable], pa.binary())
    gone &= ~pc.is_in(missing["path"], listed).to_numpy()
    for lost in unreadable:
        if lost.reason is not None:
            continue
        is_dir = lost.path.endswith(b"/") or not lost.path
        below = lost.path if is_dir else lost.path + b"/"
        gone &= ~pc.starts_with(missing["path"], below).to_numpy()
    return missing.filter(pa.array(gone))
