"""Refuse names that a folding target treats as the same as another one.

Of such names the target has the first one in canonical order, every night.
"""

import errno
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from haulage.paths import parent_of, shown
from haulage.storage.tree.filesystem.spelling import folded
from haulage.storage.tree.listing.walk import Unreadable


class _Level(NamedTuple):
    """A directory above the listing's position, and its names so far."""

    path: bytes
    names: dict[bytes, bytes]  # by what they have in common with others


class Spellings:
    """Watches the pages of a listing in their order.

    `above` are names before the first page, in the directories above its position.
    """

    def __init__(
        self,
        are_one: Callable[[bytes, bytes], bool],
        above: Sequence[tuple[bytes, Sequence[bytes]]] = (),
    ) -> None:
        """Ask `are_one` about names that may be the same."""
        self._are_one = are_one
        self._levels = [
            _Level(path, {folded(name): name for name in reversed(names)})
            for path, names in above
        ]
        self._refused: bytes | None = None  # a directory, and all that is below it

    def take(self, page: pa.Table) -> tuple[pa.Table, list[Unreadable]]:
        """Return the page without the refused entries, and these."""
        found: list[Unreadable] = []
        kept = np.ones(page.num_rows, np.bool_)
        for row, path in enumerate(page["path"].to_pylist()):
            if self._refused and path.startswith(self._refused):
                kept[row] = False
                continue
            self._refused = None
            told = list(self._weigh(path)) if path else []
            kept[row] = not told
            found += told
        return (page if kept.all() else page.filter(pa.array(kept))), found

    def _weigh(self, path: bytes) -> Iterator[Unreadable]:
        above = parent_of(path)
        while self._levels and not above.startswith(self._levels[-1].path):
            self._levels.pop()
        if not self._levels or self._levels[-1].path != above:
            self._levels.append(_Level(above, {}))
        name = path[len(above) :].rstrip(b"/")
        first = self._levels[-1].names.setdefault(folded(name), name)
        if first == name or not self._are_one(first, name):
            return
        words = (
            f"the target treats it as the same name as {shown(above + first)}, which "
            "exists there; rename one of the two at the source"
        )
        yield Unreadable(path, errno.EEXIST, words)
        if path.endswith(b"/"):
            self._refused = path
            yield Unreadable(path, errno.EEXIST, left_out=True)
