"""List a bucket's keys as entries in canonical order, giving spans away."""

import errno
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from haulage.errors import FatalError
from haulage.storage.buckets.keys.bounds import Bounds
from haulage.storage.buckets.keys.cuts import Rest, find_cut
from haulage.storage.buckets.keys.entries import CLASH, Taken, Tree
from haulage.storage.buckets.keys.misnamed_keys import lies_in, without_lies
from haulage.storage.buckets.keys.paths import LAST_CHAR, Rows, key_of, rows_of
from haulage.storage.buckets.keys.server_pages import (
    DisorderError,
    KeyRoot,
    check_may_begin,
    server_pages,
)
from haulage.storage.buckets.keys.sorting import in_path_order
from haulage.storage.buckets.protocol import Keys
from haulage.storage.tree.listing.walk import (
    PAGE_ROWS,
    Given,
    Page,
    Piece,
    Span,
    Unreadable,
)

_FLUSH_AFTER_S = 0.5  # so that work starts early on a server that answers slowly
_PROVING_PAGES = 3  # whose order is looked at before anything is told
_WORTH_GIVING = 4  # pages since a walk began or gave last

Keep = Callable[[bytes], bool]


class KeyWalk:
    """One lister's walk through a span of a bucket's keys.

    A span's `path` is always the root; its bounds follow the plain order of paths. For
    `keep`, `hungry` and `offer` see `Walk`. DisorderError when the server's order is
    not that of paths: then only `sorted_pieces` lists it.
    """

    def __init__(
        self,
        root: KeyRoot,
        span: Span,
        *,
        keep: Keep | None = None,
        hungry: Callable[[], bool] = lambda: False,
        offer: Callable[[Span], None] = lambda _: None,
        page_rows: int = PAGE_ROWS,
    ) -> None:
        """Prepare a walk; no request is sent before `pieces` is iterated."""
        self._root = root
        self._span = span
        self._hungry = hungry
        self._offer = offer
        self._bounds = Bounds(root.prefix, span)
        tree = Tree(keep, self._bounds.behind, for_files=root.for_files)
        self._gathered = _Gathered(root, tree, page_rows)
        self._given: list[bytes] = []
        self._pages_since_gift = 0
        self._cut: Future[bytes | None] | None = None

    def pieces(self) -> Iterator[Piece]:
        """Yield the span's pieces in canonical order."""
        if self._span.after:
            check_may_begin(self._root, self._span.after)
        finder = ThreadPoolExecutor(1, "cut")
        try:
            yield from self._listed(finder)
        finally:
            finder.shutdown(wait=False, cancel_futures=True)
        yield from self._gathered.finish(self._bounds.end)
        for start in reversed(self._given):
            yield Given(start)

    def _listed(self, finder: ThreadPoolExecutor) -> Iterator[Piece]:
        """List to the end, skipping each large excluded directory."""
        behind: str | None = self._bounds.ask_after
        while True:
            passed = yield from self._listed_behind(behind, finder)
            if passed is None:
                return
            behind = key_of(passed, self._root.prefix) + LAST_CHAR

    def _listed_behind(
        self, behind: str | None, finder: ThreadPoolExecutor
    ) -> Generator[Piece, None, bytes | None]:
        """List until the end, or until page after page is of an excluded directory."""
        bounds = self._bounds
        for keys in server_pages(self._root, behind, bounds.is_enough):
            _check_honest(self._root, keys)
            rows, refused = rows_of(bounds.from_low(keys), self._root.prefix)
            yield from _refusals(refused)
            rows = bounds.take(rows)
            yield from self._gathered.add(rows)
            self._pages_since_gift += 1
            if not keys.is_last and keys.keys and not bounds.is_enough(keys.keys[-1]):
                self._share(finder)
                if left_out := self._gathered.left_out_of(rows):
                    return left_out
            yield from self._gathered.flush_if_due()
        return None

    def _share(self, finder: ThreadPoolExecutor) -> None:
        """Offer half of the rest; the cut is found in parallel with the listing."""
        if self._cut is None:
            if self._pages_since_gift >= _WORTH_GIVING and self._hungry():
                self._cut = finder.submit(find_cut, self._rest())
            return
        if not self._cut.done():
            return
        cut = self._cut.result()
        self._cut = None
        self._pages_since_gift = 0
        if cut is not None and self._rest().holds(cut) and self._hungry():
            self._offer(Span(b"", cut, self._bounds.end, self._span.after))
            self._given.append(cut)
            self._bounds.end = cut

    def _rest(self) -> Rest:
        root, bounds = self._root, self._bounds
        return Rest(root.bucket, root.prefix, bounds.last or b"", bounds.end)


def sorted_pieces(
    root: KeyRoot, spool: Path, *, after: bytes | None = None, keep: Keep | None = None
) -> Iterator[Piece]:
    """Yield the whole listing, sorted here: for a server with another order."""
    bounds = Bounds(root.prefix, Span(after=after))
    gathered = _Gathered(
        root, Tree(keep, bounds.behind, for_files=root.for_files), PAGE_ROWS
    )
    refused: list[tuple[bytes, str]] = []

    def listed() -> Iterator[Rows]:
        for keys in server_pages(root, None, lambda _: False):
            if not keys.is_last and keys.token is None:
                raise FatalError(
                    f"{root.prefix or 'the bucket'!a}: the server lists in no order "
                    f"and gives no continuation token, so it cannot be listed whole"
                )
            honest, lies = without_lies(root.bucket, keys, root.prefix)
            rows, misspelt = rows_of(honest, root.prefix)
            refused.extend([*misspelt, *lies])
            yield rows

    for rows, repeated in in_path_order(listed(), spool):
        yield from _refusals([*refused, *repeated])  # all, before the first row
        refused.clear()
        yield from gathered.add(bounds.behind_low(rows))
        yield from gathered.flush_if_due()
    yield from _refusals(refused)
    yield from gathered.finish(None)


def _check_honest(root: KeyRoot, keys: Keys) -> None:
    """Raise DisorderError for a page with a key in the place of another."""
    for key in lies_in(root.bucket, keys):
        raise DisorderError(f"the server lists {key!a} but has no object of that name")


def _refusals(refused: list[tuple[bytes, str]]) -> Iterator[Unreadable]:
    for path, reason in refused:
        yield Unreadable(path, errno.EINVAL, reason)


class _Gathered:
    """Entries on their way into a page.

    A file's entry is passed on only when it is certain that no other key is below it:
    the last one waits for the next key, and for those before it the server is asked.
    """

    def __init__(self, root: KeyRoot, tree: Tree, page_rows: int) -> None:
        self._root = root
        self._tree = tree
        self._page_rows = page_rows
        self._tables: list[pa.Table] = []
        self._rows = 0
        self._pages = 0
        self._clashes: set[bytes] = set()
        self._flushed = time.monotonic()

    def add(self, rows: Rows) -> Iterator[Unreadable]:
        """Add a page's rows; yield those that are refused."""
        self._pages += 1
        yield from self._take(self._tree.take(rows))

    def _take(self, taken: Taken) -> Iterator[Unreadable]:
        if taken.entries.num_rows:
            self._tables.append(taken.entries)
            self._rows += taken.entries.num_rows
        self._clashes |= {path for path, reason in taken.refused if reason is CLASH}
        yield from _refusals(taken.refused)

    def left_out_of(self, rows: Rows) -> bytes | None:
        """Return the excluded directory that contains all of the rows."""
        top = self._tree.left_out
        is_whole = top is not None and rows.paths and rows.paths[0].startswith(top)
        return top if is_whole else None

    def flush_if_due(self) -> Iterator[Piece]:
        """Yield a page if it is full or old, and the order is checked."""
        waited_s = time.monotonic() - self._flushed
        is_due = self._rows >= self._page_rows or waited_s > _FLUSH_AFTER_S
        if not is_due or self._pages < _PROVING_PAGES or not self._tables:
            return
        last = self._tables[-1]["path"][-1].as_py()
        waits = bool(self._tree.open) and self._tree.open[-1] == last
        yield from self._settle(self._tree.open[:-1] if waits else self._tree.open)
        self._tree.open = [last] if waits else []
        yield from self._flush(held=int(waits))

    def finish(self, end: bytes | None) -> Iterator[Piece]:
        """Yield the rest at the end of a span, and lead on to what follows it."""
        yield from self._take(self._tree.go_on_to(end or b""))
        if end is not None:
            still = [path for path in self._tree.open if end < path + b"0"]
            yield from self._settle(still)
        yield from self._flush(held=0)

    def _settle(self, paths: list[bytes]) -> Iterator[Unreadable]:
        """Check whether any key is below these files, and refuse such files."""
        for path in paths:
            below = key_of(path, self._root.prefix) + "/"
            if self._root.bucket.page(below, limit=1).keys:
                self._clashes.add(path)
                yield Unreadable(path, errno.EINVAL, CLASH)

    def _flush(self, *, held: int) -> Iterator[Page]:
        """Yield all but the last `held` rows."""
        self._flushed = time.monotonic()
        if not self._tables:
            return
        table = pa.concat_tables(self._tables).combine_chunks()
        ready = table.slice(0, table.num_rows - held)
        self._tables = [table.slice(table.num_rows - held)] if held else []
        self._rows = held
        if self._clashes:
            clashing = pa.array(sorted(self._clashes), pa.binary())
            ready = ready.filter(pc.invert(pc.is_in(ready["path"], clashing)))
            self._clashes.clear()
        for at in range(0, ready.num_rows, self._page_rows):
            page = ready.slice(at, self._page_rows)
            yield Page(page, page["mtime_s"].to_numpy().astype(np.int64))
