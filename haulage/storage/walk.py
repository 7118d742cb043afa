"""Lists a directory tree in canonical order, page by page, giving subtrees away."""

import errno
import os
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from haulage.model import Kind, parent_of
from haulage.storage.descent import Descent
from haulage.storage.statx import StatBuffer, entry_table, kinds_of

PAGE_ROWS = 16_384


@dataclass(frozen=True, slots=True)
class Page:
    """Entries in canonical order; `atime_s` stands beside them for the filters."""

    entries: pa.Table
    atime_s: np.ndarray


@dataclass(frozen=True, slots=True)
class Given:
    """A subtree that another lister has: its entries belong here in the order."""

    path: bytes


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A path whose entries, at it or below it, could not be listed."""

    path: bytes
    errno: int


Piece = Page | Given | Unreadable


@dataclass(slots=True)
class _Frame:
    """A directory under way: its names, sorted, and how far the walk has come."""

    path: bytes
    names: list[bytes]
    next: int = 0




@dataclass(frozen=True, slots=True)
class Span:
    """What one lister lists: the entries below `path` that come after `after`."""

    path: bytes = b""
    after: bytes | None = None


class Walk:
    """One lister's walk through a span of the tree.

    `keep` decides on each path (a directory that is not kept is not entered); `hungry`
    tells whether somebody waits for work, and then `offer` is told of a subtree that this
    walk leaves out and marks with Given where its entries belong.
    """

    def __init__(  # noqa: PLR0913  the walk's whole environment, given once
        self,
        descent: Descent,
        span: Span,
        *,
        keep: Callable[[bytes], bool] | None = None,
        one_file_system: bool = False,
        hungry: Callable[[], bool] = lambda: False,
        offer: Callable[[bytes], None] = lambda _: None,
        page_rows: int = PAGE_ROWS,
    ) -> None:
        """Prepare a walk; nothing is read before `pieces` is iterated."""
        self._descent = descent
        self._span = span
        self._keep = keep
        self._hungry = hungry
        self._offer = offer
        self._buffer = StatBuffer(page_rows)
        self._page_rows = page_rows
        self._paths: list[bytes] = []
        self._given: set[bytes] = set()
        self._device = os.fstat(descent.root_fd).st_dev if one_file_system else None

    def pieces(self) -> Iterator[Piece]:
        """Yield the span's pieces in canonical order."""
        if not self._span.path and self._span.after is None:
            self._buffer.fill(0, self._descent.root_fd, b".")
            self._paths.append(b"")
        stack: list[_Frame] = []
        yield from self._enter(self._span.path, stack)
        while stack:
            frame = stack[-1]
            below = yield from self._advance(frame)
            if below is None:
                stack.pop()
            elif below in self._given:
                yield from self._flush()
                self._given.discard(below)
                yield Given(below)
            else:
                yield from self._enter(below, stack)
                if self._hungry():
                    self._give_away(stack)
        yield from self._flush()

    def _enter(self, path: bytes, stack: list[_Frame]) -> Iterator[Piece]:
        try:
            names = self._names(path)
        except OSError as err:
            yield Unreadable(path, err.errno or errno.EIO)
        else:
            stack.append(_Frame(path, names))

    def _names(self, path: bytes) -> list[bytes]:
        """Return the directory's names in canonical order, directories with their slash."""
        with os.scandir(self._descent.open(path)) as listing:
            names = [
                entry.name + "/" if entry.is_dir(follow_symlinks=False) else entry.name
                for entry in listing
            ]
        if not names:
            return []
        raw = "\0".join(names).encode("utf-8", "surrogateescape").split(b"\0")
        raw.sort()
        after = self._span.after
        if after is not None and after >= path:
            raw = [name for name in raw if path + name > after or after.startswith(path + name)]
        if self._keep is not None:
            raw = [name for name in raw if self._keep(path + name)]
        return raw

    def _advance(self, frame: _Frame) -> Generator[Piece, None, bytes | None]:
        """Take up the frame's entries until a directory is to be entered; return that."""
        fd = self._descent.open(frame.path)
        names, at, prefix = frame.names, frame.next, frame.path
        paths, fill, full = self._paths, self._buffer.fill, self._page_rows
        row = len(paths)
        while at < len(names):
            name = names[at]
            at += 1
            is_dir = name[-1] == 0x2F
            failed = fill(row, fd, name[:-1] if is_dir else name)
            if failed:
                if failed != errno.ENOENT:
                    yield Unreadable(prefix + name, failed)
                continue
            path = prefix + name
            enter = is_dir and self._is_inside(row)
            if not self._is_passed(path):
                paths.append(path)
                row += 1
            if enter:
                frame.next = at
                if row == full:
                    yield from self._flush()
                return path
            if row == full:
                yield from self._flush()
                paths, row = self._paths, 0
                fd = self._descent.open(prefix)  # reading links may have closed it
        return None

    def _is_passed(self, path: bytes) -> bool:
        """Tell whether an earlier listing, up to `after`, already had this path."""
        return self._span.after is not None and path <= self._span.after

    def _is_inside(self, row: int) -> bool:
        return self._device is None or self._buffer.device(row) == self._device

    def _give_away(self, stack: list[_Frame]) -> None:
        """Offer the last directory that the shallowest frame has still to enter."""
        for frame in stack:
            for at in range(len(frame.names) - 1, frame.next - 1, -1):
                name = frame.names[at]
                path = frame.path + name
                if name[-1] == 0x2F and path not in self._given:
                    self._given.add(path)
                    self._offer(path)
                    return

    def _flush(self) -> Iterator[Piece]:
        """Yield the rows taken up so far as a page."""
        paths, self._paths = self._paths, []
        if not paths:
            return
        records = self._buffer.records[: len(paths)]
        is_dir = kinds_of(records) == Kind.DIR
        named_dir = np.fromiter(
            (path[-1:] in (b"/", b"") for path in paths), np.bool_, len(paths)
        )
        if (is_dir != named_dir).any():
            yield from self._retyped(paths, np.flatnonzero(is_dir != named_dir))
            same = np.flatnonzero(is_dir == named_dir)
            paths, records = [paths[row] for row in same], records[same]
        yield self._page(paths, records)

    def _retyped(self, paths: list[bytes], rows: np.ndarray) -> Iterator[Unreadable]:
        """Report entries whose type changed between their listing and their stat."""
        for row in rows:
            yield Unreadable(paths[row], errno.ESTALE)

    def _page(self, paths: list[bytes], records: np.ndarray) -> Page:
        targets: list[bytes | None] = [None] * len(paths)
        for row in np.flatnonzero(kinds_of(records) == Kind.SYMLINK):
            targets[row] = self._link_target(paths[row])
        table = entry_table(paths, records, pa.array(targets, pa.binary()))
        return Page(table, records["atime"]["s"].copy())

    def _link_target(self, path: bytes) -> bytes | None:
        """Read a link; None when it went away, and then its copy will say so."""
        above = parent_of(path)
        try:
            fd = self._descent.open(above)
            return os.readlink(path[len(above) :], dir_fd=fd)
        except OSError:
            return None
