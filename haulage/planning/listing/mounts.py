"""Hold back entries below a directory whose file system is not mounted any more.

A directory that was on another device than its parent, and is now on the same one under
another inode, was a mount point. If none of its known entries was listed, its file
system is away, and the entries are not gone. Device numbers alone prove nothing: they
change from one mount to the next.
"""

import errno
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from haulage.planning.columns import is_dir
from haulage.planning.difference import Difference, Linked
from haulage.storage.tree.listing.walk import Unreadable

AWAY = "was another file system and no longer is; is it mounted?"
_MOST_HELD = 100_000  # rows, before a directory is decided about


class Devices(NamedTuple):
    """The device of a directory, before and now."""

    path: bytes
    was: int
    now: int


class Mounts:
    """Watches the pages of a comparison in their order.

    `above` are the directories above the first page, from the root on; `away` are those
    that an earlier part of the run found to be unmounted.
    """

    def __init__(self, above: Sequence[Devices], away: Sequence[bytes]) -> None:
        self._above = list(above)
        self._away = list(away)
        self._suspect: bytes | None = None
        self._held: list[Difference] = []

    def take(
        self, page: Difference, now: pa.Table, was: pa.Table
    ) -> Iterator[Difference]:
        """Yield what is certain by now; rows of `now` and `was` are one entry's."""
        for path in self._away:
            page = _without(page, path)
        self._held.append(page)
        if self._suspect is not None:
            listed = now["path"][0].as_py() if now.num_rows else b""
            self._weigh(listed, page.last)
        for path, listed in self._boundaries(now, was):
            self._suspect = path
            self._weigh(listed, page.last)
        if self._suspect is None:
            yield from self._take_held()

    def rest(self) -> Iterator[Difference]:
        """Yield what is still held back, after everything was listed."""
        if self._suspect is not None:
            self._decide(is_there=False)
        yield from self._take_held()

    def _take_held(self) -> Iterator[Difference]:
        held, self._held = self._held, []
        yield from held

    def _weigh(self, listed: bytes, last: bytes) -> None:
        """Decide about the suspect, if the next known entry or the end allows it."""
        assert self._suspect is not None
        if listed.startswith(self._suspect):
            self._decide(is_there=True)
        elif not last.startswith(self._suspect) or self._holds_much():
            self._decide(is_there=False)

    def _holds_much(self) -> bool:
        rows: int = sum(page.listed + page.gone.num_rows for page in self._held[1:])
        return rows > _MOST_HELD

    def _decide(self, *, is_there: bool) -> None:
        path, self._suspect = self._suspect, None
        assert path is not None
        if is_there or not any(_has_below(page.gone, path) for page in self._held):
            return
        self._away.append(path)
        self._held = [_without(page, path) for page in self._held]
        told = Unreadable(path, errno.ENODEV, AWAY)
        last = self._held[-1]
        self._held[-1] = replace(last, unreadable=(*last.unreadable, told))

    def _boundaries(
        self, now: pa.Table, was: pa.Table
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield former mount points, each with the known entry listed after it."""
        rows = np.flatnonzero(is_dir(now) & is_dir(was))
        if not len(rows):
            return
        was_dev, now_dev = was["dev"].to_numpy()[rows], now["dev"].to_numpy()[rows]
        top = self._above[0] if len(self._above) == 1 else None
        if top and (was_dev == top.was).all() and (now_dev == top.now).all():
            return
        is_same = (was["ino"].to_numpy() == now["ino"].to_numpy())[rows]
        paths = now["path"]
        for row, was_on, now_on, stays in zip(
            rows.tolist(), was_dev.tolist(), now_dev.tolist(), is_same, strict=True
        ):
            path = paths[row].as_py()
            if self._was_mounted(Devices(path, was_on, now_on)) and not stays:
                behind = row + 1 < len(paths)
                yield path, paths[row + 1].as_py() if behind else b""

    def _was_mounted(self, found: Devices) -> bool:
        """Tell whether a directory was on another device than its parent, but is not.

        Only directories on another device than their parent are remembered.
        """
        while self._above and not found.path.startswith(self._above[-1].path):
            self._above.pop()
        parent = self._above[-1] if self._above else found
        if (parent.was, parent.now) != (found.was, found.now) or not self._above:
            self._above.append(found)
        return parent.was != found.was and parent.now == found.now


def _without(page: Difference, path: bytes) -> Difference:
    """Remove a directory and everything below it."""
    linked = page.linked
    if linked:
        known = _outside(linked.known, path)
        linked = Linked(
            new=linked.new.filter(pa.array(_outside(linked.new, path))),
            known=linked.known.filter(pa.array(known)),
            was=linked.was.filter(pa.array(known)),
            fields=linked.fields[known],
            gone=linked.gone.filter(pa.array(_outside(linked.gone, path))),
        )
    changed = _outside(page.changed, path)
    return replace(
        page,
        new=page.new.filter(pa.array(_outside(page.new, path))),
        changed=page.changed.filter(pa.array(changed)),
        was=page.was.filter(pa.array(changed)),
        fields=page.fields[changed],
        gone=page.gone.filter(pa.array(_outside(page.gone, path))),
        linked=linked,
    )


def _outside(rows: pa.Table, path: bytes) -> np.ndarray:
    outside: np.ndarray = ~pc.starts_with(rows["path"], path).to_numpy()
    return outside


def _has_below(rows: pa.Table, path: bytes) -> bool:
    return not _outside(rows, path).all()
