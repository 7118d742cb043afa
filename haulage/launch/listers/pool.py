"""List a store with local lister processes, in whatever order its server lists."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa

from haulage.errors import FatalError, shown_path
from haulage.exchange.listing_pages import Setup
from haulage.launch.listers.ordered import OrderedListing
from haulage.place import Place
from haulage.private import make_directory, make_file
from haulage.storage.buckets.keys.server_pages import DisorderError
from haulage.storage.tree.listing.walk import Unreadable

_BUCKET_LANES = 8  # spans that one lister of a bucket works on, waiting for most


class _Found(StrEnum):
    """When a bucket was found to list in another order than that of paths."""

    EARLY = "early"  # before anything was told, so that all of it was sorted
    LATE = "late"  # when some was told already, which may lack something


class Listers:
    """A pool of listers that together list one store; use as a context manager."""

    def __init__(  # noqa: PLR0913  a listing's whole environment, given once
        self,
        place: Place,
        selection: dict[str, object],
        *,
        count: int,
        spool: Path,
        for_files: bool = True,
        environ: Mapping[str, str] | None = None,
        disorder: Path | None = None,
    ) -> None:
        """Set what to list; `spool` is an empty directory of this listing's own.

        `for_files` is Setup's. `environ` holds the secrets. `disorder` is a file that
        outlives this listing: it records that the server does not list in path order,
        and later listings that find it sort from the start.
        """
        self._place = place
        lanes = _BUCKET_LANES if place.is_bucket else 1
        self._setup = Setup(place.as_fields(), selection, spool, lanes, for_files)
        self._count = count
        self._environ = environ or {}
        self._disorder = disorder
        self._told = False

    def __enter__(self) -> Self:
        make_directory(self._setup.spool)
        self._rope = self._sorted() if self._remembered() else self._in_order()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._rope.end()

    def _in_order(self) -> OrderedListing:
        return OrderedListing(self._setup, self._count, self._environ)

    def _sorted(self) -> OrderedListing:
        return OrderedListing(
            replace(self._setup, in_order=False, lanes=1), 1, self._environ
        )

    def pieces(self, after: bytes | None = None) -> Iterator[pa.Table | Unreadable]:
        """Yield the whole store's pages after `after` in canonical order; once."""
        remembered = self._remembered()
        if remembered is _Found.LATE and after is not None:
            raise self._too_late("an earlier part of this run found that out late")
        if remembered:
            self._remember(_Found.EARLY)
        try:
            yield from self._told_pieces(after)
        except DisorderError as err:
            if self._told or after is not None:
                self._remember(_Found.LATE)
                raise self._too_late(str(err)) from err
            self._remember(_Found.EARLY)
            self._start_again()
            yield from self._told_pieces(after)

    @property
    def decided(self) -> set[int]:
        """The numbers of the rules that decided about a path, once all is listed."""
        return self._rope.decided

    def _told_pieces(self, after: bytes | None) -> Iterator[pa.Table | Unreadable]:
        for piece in self._rope.pieces(after):
            self._told = True
            yield piece

    def _start_again(self) -> None:
        """List again, sorted, without the rest of the unsorted listing."""
        self._rope.end()
        for page in self._setup.spool.glob("*.arrow"):
            page.unlink()
        self._rope = self._sorted()

    def _too_late(self, why: str) -> FatalError:
        return FatalError(
            f"{shown_path(self._place.url)}: the server's listing is not in path "
            f"order ({why}), and part of it was already used; nothing was treated as "
            "gone. Do not resume this run; start a new one, which sorts the listing"
        )

    def _remembered(self) -> _Found | None:
        if self._disorder is None or not self._disorder.exists():
            return None
        return _Found(self._disorder.read_text("utf-8"))

    def _remember(self, found: _Found) -> None:
        if self._disorder is not None:
            make_directory(self._disorder.parent)
            make_file(self._disorder)
            self._disorder.write_text(found, "utf-8")
