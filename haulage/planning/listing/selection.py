"""Which entries of a store are included in a run, and how they are listed."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from haulage.config.patterns import Rules
from haulage.model import SELECTED, Kind
from haulage.storage.buckets.keys.server_pages import KeyRoot
from haulage.storage.buckets.keys.walk import KeyWalk, sorted_pieces
from haulage.storage.tree.descent import Descent
from haulage.storage.tree.listing.walk import Page, Piece, Span, Walk


@dataclass(frozen=True, slots=True)
class Selection:
    """The filters of a run, with ages turned into seconds since the epoch.

    Sizes and times select files only; directories and links are excluded by rules
    alone.
    """

    rules: tuple[str, ...] = ()
    min_size: int | None = None
    max_size: int | None = None
    newest_mtime_s: int | None = None
    oldest_mtime_s: int | None = None
    newest_atime_s: int | None = None
    oldest_atime_s: int | None = None
    one_file_system: bool = False
    shut: tuple[tuple[int, int], ...] = ()  # device and inode of what is left out
    compiled: Rules = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Compile the rules once; RefusedError for one that cannot be."""
        object.__setattr__(self, "compiled", Rules(tuple(self.rules)))

    def keeps_path(self) -> Callable[[bytes], bool] | None:
        """Return the decision on one path, or None when every path is kept."""
        return self.compiled.keep if self.compiled else None

    def decided(self) -> list[int]:
        """Return the numbers of the rules that have decided about a path so far."""
        return sorted(self.compiled.decided)

    def mark(self, page: Page) -> pa.Table:
        """Return a page's entries, with a column that tells which are included.

        Others are listed as well: an existing entry is not gone.
        """
        mask = self._wanted(page.entries, page.atime_s)
        if mask is None:
            return page.entries
        return page.entries.append_column(SELECTED, pa.array(mask))

    def _wanted(self, entries: pa.Table, atime_s: np.ndarray) -> np.ndarray | None:
        size, mtime = entries["size"].to_numpy(), entries["mtime_s"].to_numpy()
        wanted = [
            *_within(size, self.min_size, self.max_size),
            *_within(mtime, self.oldest_mtime_s, self.newest_mtime_s),
            *_within(atime_s, self.oldest_atime_s, self.newest_atime_s),
        ]
        if not wanted:
            return None
        kept: np.ndarray = np.logical_and.reduce(wanted)
        kept |= entries["kind"].to_numpy() != Kind.FILE
        return kept

    def still_covers(self, gone: pa.Table) -> np.ndarray:
        """Tell for manifest rows whether a listing by these rules would show them."""
        if not self.compiled:
            return np.ones(gone.num_rows, np.bool_)
        covered = map(self.compiled.keep_below, gone["path"].to_pylist())
        return np.fromiter(covered, np.bool_, gone.num_rows)


def _within(values: np.ndarray, low: int | None, high: int | None) -> list[np.ndarray]:
    bounds = []
    if low is not None:
        bounds.append(values >= low)
    if high is not None:
        bounds.append(values <= high)
    return bounds


def listing(
    root: Descent | KeyRoot,
    span: Span,
    selection: Selection,
    hungry: Callable[[], bool] = lambda: False,
    offer: Callable[[Span], None] = lambda _: None,
    spool: Path | None = None,
) -> Iterator[Piece]:
    """Yield the selected pieces of a span in canonical order."""
    keep = selection.keeps_path()
    walk: Walk | KeyWalk
    if isinstance(root, KeyRoot):
        walk = KeyWalk(root, span, keep=keep, hungry=hungry, offer=offer)
    else:
        walk = Walk(
            root,
            span,
            keep=keep,
            one_file_system=selection.one_file_system,
            shut={(device, inode) for device, inode in selection.shut},
            hungry=hungry,
            offer=offer,
            spool=spool,
        )
    return _marked(walk.pieces(), selection)


def sorted_listing(
    root: KeyRoot, after: bytes | None, selection: Selection, spool: Path
) -> Iterator[Piece]:
    """Yield all selected pieces of a bucket whose server lists in another order."""
    pieces = sorted_pieces(root, spool, after=after, keep=selection.keeps_path())
    return _marked(pieces, selection)


def _marked(pieces: Iterator[Piece], selection: Selection) -> Iterator[Piece]:
    for piece in pieces:
        if isinstance(piece, Page):
            yield Page(selection.mark(piece), piece.atime_s)
        else:
            yield piece
