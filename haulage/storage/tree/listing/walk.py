"""List a directory tree in canonical order, page by page, giving subtrees away."""

import errno
import os
import time
from collections.abc import Callable, Collection, Generator, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa

from haulage.model import DEVICES, Kind
from haulage.paths import parent_of
from haulage.storage.tree.descent import Descent
from haulage.storage.tree.listing.names import Names, names_in, sorted_names
from haulage.storage.tree.metadata.statx import StatBuffer, entry_table, kinds_of
from haulage.storage.tree.ours import is_ours

PAGE_ROWS = 16_384
_FLUSH_AFTER_S = 0.5  # so that work starts early on a store that answers slowly
_WORTH_GIVING = 4096  # names without a directory among them
_UNFOUND_APART = 1000  # names of one directory; of more, the directory is told
_STUCK_APART = 100  # as _UNFOUND_APART, of names that are listed again
_SLASH = 0x2F


@dataclass(frozen=True, slots=True)
class Page:
    """Entries in canonical order; `atime_s` is a separate column for the filters."""

    entries: pa.Table
    atime_s: np.ndarray


@dataclass(frozen=True, slots=True)
class Span:
    """A part of the order that one lister lists, below directory `path`.

    `start` and `end` bound it by entries of that directory, `start` inclusive and `end`
    not; entries up to and with `after` are left out.
    """

    path: bytes = b""
    start: bytes | None = None
    end: bytes | None = None
    after: bytes | None = None

    def holds(self, path: bytes) -> bool:
        """Tell whether an entry of the span's own directory is within its bounds."""
        if self.start is not None and path < self.start:
            return False
        return self.end is None or path < self.end


@dataclass(frozen=True, slots=True)
class Given:
    """A span that another lister has; its entries belong here in the order."""

    start: bytes


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A path that could not be listed, or below which entries could not be.

    With a `reason` it is refused, and nothing below it is listed. A directory of
    another file system may be `left_out`, by request: that is no failure.
    """

    path: bytes
    errno: int
    reason: str | None = None
    left_out: bool = False


Piece = Page | Given | Unreadable


@dataclass(slots=True)
class _Frame:
    """A directory in progress: its sorted names, and the walk's position.

    `given` are the starts of the spans after `names` that others list, the last of them
    first in the order. `unfound` are names that could not be found.
    """

    path: bytes
    names: Names
    end: bytes | None
    next: int = 0
    given: list[bytes] = field(default_factory=list)
    unfound: list[bytes] = field(default_factory=list)

    def where_to_cut(self) -> int | None:
        """Return where to cut the rest in two halves, if it is worth it."""
        rest = len(self.names) - self.next
        middle = self.next + rest // 2
        if rest >= _WORTH_GIVING:
            return middle
        for at in range(middle, len(self.names)):
            if self.names[at][-1] == _SLASH:
                return at
        for at in range(middle - 1, self.next - 1, -1):
            if self.names[at][-1] == _SLASH:
                return at
        return None


class Walk:
    """One lister's walk through a span of the tree.

    `keep` decides on each path (an excluded directory is not entered); `hungry` tells
    whether another lister is idle, and then `offer` gets a span that this walk leaves
    out and marks with Given where its entries belong. With a `spool`, the names of a
    very large directory are on disk, not in memory.
    """

    def __init__(  # noqa: PLR0913  the walk's whole environment, given once
        self,
        descent: Descent,
        span: Span,
        *,
        keep: Callable[[bytes], bool] | None = None,
        one_file_system: bool = False,
        shut: Collection[tuple[int, int]] = (),
        hungry: Callable[[], bool] = lambda: False,
        offer: Callable[[Span], None] = lambda _: None,
        page_rows: int = PAGE_ROWS,
        spool: Path | None = None,
    ) -> None:
        """Prepare a walk; nothing is read before `pieces` is iterated."""
        self._spool = spool
        self._descent = descent
        self._span = span
        self._keep = keep
        self._hungry = hungry
        self._offer = offer
        self._shut = frozenset(shut)
        self._shut_inodes = np.array([inode for _, inode in shut], np.uint64)
        self._buffer = StatBuffer(page_rows)
        self._page_rows = page_rows
        self._paths: list[bytes] = []
        self._flushed = time.monotonic()
        self._device = os.fstat(descent.root_fd).st_dev if one_file_system else None

    def pieces(self) -> Iterator[Piece]:
        """Yield the span's pieces in canonical order."""
        if self._span == Span():
            self._buffer.fill(0, self._descent.root_fd, b".")
            self._paths.append(b"")
            if self._page_rows == 1:
                yield from self._flush()
        stack: list[_Frame] = []
        yield from self._enter(self._span.path, stack)
        while stack:
            frame = stack[-1]
            below = yield from self._advance(frame)
            if below is not None:
                yield from self._enter(below, stack)
            else:
                yield from self._leave(stack)
            if self._hungry():
                self._give_away(stack)
            if time.monotonic() - self._flushed > _FLUSH_AFTER_S:
                yield from self._flush()
        yield from self._flush()

    def _enter(self, path: bytes, stack: list[_Frame]) -> Iterator[Piece]:
        end = None if stack else self._span.end
        try:
            stack.append(_Frame(path, self._names(path), end))
        except OSError as err:
            yield Unreadable(path, err.errno or errno.EIO)

    def _leave(self, stack: list[_Frame]) -> Iterator[Piece]:
        """Read nothing more of a directory, but mark the spans that others list."""
        frame = stack.pop()
        if frame.unfound:
            yield from self._stuck(frame)
        if frame.given:
            yield from self._flush()
        for start in reversed(frame.given):
            yield Given(start)

    def _names(self, path: bytes) -> Names:
        """Return the names in canonical order, directories with their slash."""
        wanted = partial(self._wanted, path)
        return sorted_names(self._descent.open(path), wanted, self._spool)

    def _wanted(self, path: bytes, names: list[bytes]) -> list[bytes]:
        """Return which of some names in a directory belong to the walk."""
        if not path:
            names = [name for name in names if not is_ours(name)]
        after = self._span.after
        if after is not None and after >= path:
            names = [
                name
                for name in names
                if path + name > after or after.startswith(path + name)
            ]
        if path == self._span.path:
            names = [name for name in names if self._span.holds(path + name)]
        if self._keep is not None:
            names = [name for name in names if self._keep(path + name)]
        return names

    def _advance(self, frame: _Frame) -> Generator[Piece, None, bytes | None]:
        """Read entries until the walk must enter a directory; return that."""
        fd = self._descent.open(frame.path)
        names, prefix, fill = frame.names, frame.path, self._buffer.fill
        while frame.next < len(names):
            name = names[frame.next]
            frame.next += 1
            is_dir = name[-1] == _SLASH
            row = len(self._paths)
            if failed := fill(row, fd, name[:-1] if is_dir else name):
                yield from self._not_seen(frame, name, failed)
                continue
            path = prefix + name
            if is_dir and self._shut and self._buffer.identity(row) in self._shut:
                yield Unreadable(path, errno.ELOOP, left_out=True)
                continue
            enter = is_dir and self._is_inside(row)
            if is_dir and not enter:
                yield Unreadable(path, errno.EXDEV, left_out=True)
            if not self._is_passed(path):
                self._paths.append(path)
            if len(self._paths) == self._page_rows:
                yield from self._turn_page(frame)
                fd = self._descent.open(prefix)  # reading links may have closed it
            if enter:
                return path
        return None

    def _not_seen(self, frame: _Frame, name: bytes, failed: int) -> Iterator[Piece]:
        """Report a name without an entry, or its directory if there are many."""
        if failed == errno.ENOENT and len(frame.unfound) >= _UNFOUND_APART:
            return
        yield Unreadable(frame.path + name, failed)
        if failed == errno.ENOENT:
            frame.unfound.append(name)
            if len(frame.unfound) == _UNFOUND_APART and frame.path:
                yield Unreadable(frame.path, failed)

    def _stuck(self, frame: _Frame) -> Iterator[Piece]:
        """Report names that the directory still lists, so that they are not removed."""
        try:
            fd = self._descent.open(frame.path)
            unfound = set(frame.unfound)
            names = sorted(unfound.intersection(chain.from_iterable(names_in(fd))))
        except OSError:
            return  # it is gone itself
        names = [name for name in names if self._is_missing(fd, name)]
        if len(names) > _STUCK_APART:
            many = f"{len(names)} names or more that are not found in it"
            yield Unreadable(frame.path, errno.ENOENT, f"it lists {many}")
            return
        for name in names:
            why = "its directory lists the name, but it is not found there"
            yield Unreadable(frame.path + name, errno.ENOENT, why)

    def _is_missing(self, fd: int, name: bytes) -> bool:
        row = len(self._paths)
        return self._buffer.fill(row, fd, name.rstrip(b"/")) == errno.ENOENT

    def _turn_page(self, frame: _Frame) -> Iterator[Piece]:
        """Yield a full page; a flat directory shares its rest here."""
        yield from self._flush()
        if self._hungry():
            self._give_away([frame])

    def _is_passed(self, path: bytes) -> bool:
        """Tell whether an earlier listing, up to `after`, already had this path."""
        return self._span.after is not None and path <= self._span.after

    def _is_inside(self, row: int) -> bool:
        return self._device is None or self._buffer.device(row) == self._device

    def _give_away(self, stack: list[_Frame]) -> None:
        """Offer half of the rest of the shallowest directory."""
        for frame in stack:
            cut = frame.where_to_cut()
            if cut is None:
                continue
            start = frame.path + frame.names[cut]
            self._offer(Span(frame.path, start, frame.end, self._span.after))
            frame.given.append(start)
            frame.end = start
            del frame.names[cut:]
            return

    def _flush(self) -> Iterator[Piece]:
        """Yield the rows read so far as a page."""
        self._flushed = time.monotonic()
        paths, self._paths = self._paths, []
        if not paths:
            return
        records = self._buffer.records[: len(paths)]
        if shut := self._shut_files(records):
            for row in shut:
                yield Unreadable(paths[row], errno.ELOOP, left_out=True)
            rest = np.delete(np.arange(len(paths)), shut)
            paths, records = [paths[row] for row in rest], records[rest]
        is_dir = kinds_of(records) == Kind.DIR
        named_dir = np.fromiter(
            (path[-1:] in (b"/", b"") for path in paths), np.bool_, len(paths)
        )
        if (is_dir != named_dir).any():
            yield from self._retyped(paths, np.flatnonzero(is_dir != named_dir))
            same = np.flatnonzero(is_dir == named_dir)
            paths, records = [paths[row] for row in same], records[same]
        if paths:
            yield self._page(paths, records)

    def _shut_files(self, records: np.ndarray) -> list[int]:
        """Return the rows to leave out that are not directories."""
        if not self._shut:
            return []
        may_be = np.isin(records["ino"], self._shut_inodes)
        rows = np.flatnonzero(may_be & (kinds_of(records) != Kind.DIR))
        return [
            row for row in rows.tolist() if self._buffer.identity(row) in self._shut
        ]

    def _retyped(self, paths: list[bytes], rows: np.ndarray) -> Iterator[Unreadable]:
        """Report entries whose type changed between their listing and their stat."""
        for row in rows:
            yield Unreadable(paths[row], errno.ESTALE)

    def _page(self, paths: list[bytes], records: np.ndarray) -> Page:
        targets: list[bytes | None] = [None] * len(paths)
        for row in np.flatnonzero(kinds_of(records) == Kind.SYMLINK):
            targets[row] = self._link_target(paths[row])
        for row in np.flatnonzero(np.isin(kinds_of(records), DEVICES)):
            number = records["rdev_major"][row], records["rdev_minor"][row]
            targets[row] = b"%d:%d" % number
        table = entry_table(paths, records, pa.array(targets, pa.binary()))
        return Page(table, records["atime"]["s"].copy())

    def _link_target(self, path: bytes) -> bytes | None:
        """Read a link; None if it disappeared, which its copy will report."""
        above = parent_of(path)
        try:
            fd = self._descent.open(above)
            return os.readlink(path[len(above) :], dir_fd=fd)
        except OSError:
            return None
