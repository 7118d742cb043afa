"""List Google's and Azure's buckets, in the order of their keys.

obstore returns the object `a/` as `a`. Only empty objects are such markers of
directories (of other tools), so each empty one is checked: if there is no object `a`,
it is one.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import obstore

from haulage.errors import VanishedError
from haulage.storage.buckets.gs_az.cloud import Cloud
from haulage.storage.buckets.gs_az.names import (
    behind_all,
    just_below,
    key_of_name,
    name_of,
)
from haulage.storage.buckets.keys.paths import LAST_CHAR
from haulage.storage.buckets.protocol import Keys

_LOOKS = 16  # at empty objects at once
_STEPS = 64  # requests for one page; what is rolled up is skipped by a new one
_KEPT = 32  # listings that may be gone on with where they are

if TYPE_CHECKING:
    from obstore import ListStream, ObjectMeta


class _Stream(NamedTuple):
    """A listing at its position; each of its pages but the last has `chunk` names."""

    pages: "ListStream[Sequence[ObjectMeta]]"
    chunk: int

    def behind(self, token: str) -> Sequence["ObjectMeta"]:
        """Return the next page with names after `token`; an empty one at the end.

        A server that cannot start in the middle lists everything.
        """
        while True:
            names = next(self.pages, ())
            if len(names) < self.chunk:
                return names
            last, slash = names[-1]["path"], "" if names[-1]["size"] else "/"
            if last + slash > token:
                return names


class _Row(NamedTuple):
    key: str
    size: int
    etag: bytes
    modified_ns: int
    name: str  # the server's own, by which it sorts


@dataclass(slots=True)
class _Page:
    """A page that is being filled."""

    rows: list[_Row] = field(default_factory=list)
    prefixes: list[str] = field(default_factory=list)
    token: str | None = None  # the name behind which the listing goes on

    def __len__(self) -> int:
        return len(self.rows) + len(self.prefixes)

    def as_keys(self) -> Keys:
        rows = sorted(self.rows)  # our own markers are listed a little late
        count = len(rows)
        return Keys(
            [row.key for row in rows],
            np.fromiter((row.size for row in rows), np.int64, count),
            [row.etag for row in rows],
            np.fromiter((row.modified_ns for row in rows), np.int64, count),
            self.prefixes,
            self.token is None,
            self.token,
        )


class Listing:
    """The listings of one bucket; a few of those in progress keep their position."""

    def __init__(self, cloud: Cloud) -> None:
        self._site = cloud
        self._kept: dict[tuple[str, str], _Stream] = {}
        self._lookers = ThreadPoolExecutor(_LOOKS, "look")

    def close(self) -> None:
        """End the listings in progress."""
        self._kept.clear()
        self._lookers.shutdown(cancel_futures=True)

    def page(
        self,
        prefix: str,
        after: str | None,
        delimiter: str | None,
        limit: int,
        token: str | None,
    ) -> Keys:
        """See Bucket."""
        page = _Page(token=token or _first_name(prefix, after) or "")
        for _ in range(_STEPS):
            rows = self._fetch(prefix, page, limit - len(page))
            rows = [row for row in rows if after is None or row.key > after]
            if delimiter is None:
                page.rows += rows
            else:
                _roll_up(page, rows, prefix, delimiter)
            if page.token is None or len(page) >= limit or (rows and not delimiter):
                break
        return page.as_keys()

    def _fetch(self, prefix: str, page: _Page, limit: int) -> list[_Row]:
        """Return the next rows below `prefix`, and note in `page` where they end."""
        directory = prefix[: prefix.rfind("/") + 1]
        token = page.token or ""
        kept = self._kept.pop((directory, token), None)
        if kept is not None and kept.chunk > limit:
            kept = None

        def ask() -> tuple[_Stream, Sequence["ObjectMeta"]]:
            nonlocal kept
            stream, kept = kept, None  # one that failed cannot be gone on with
            if stream is None:
                stream = self._begin(directory, token, limit)
            return stream, stream.behind(token)

        stream, names = self._site.ask(ask, prefix)
        rows = list(self._rows(names))
        page.token = None
        if len(rows) == stream.chunk and rows[-1].name <= behind_all(prefix):
            page.token = rows[-1].name
            self._keep((directory, page.token), stream)
        return [row for row in rows if row.name > token and row.key.startswith(prefix)]

    def _begin(self, directory: str, token: str, limit: int) -> _Stream:
        pages = obstore.list(
            self._site.once, directory or None, offset=token or None, chunk_size=limit
        )
        return _Stream(pages, limit)

    def _keep(self, place: tuple[str, str], stream: _Stream) -> None:
        while len(self._kept) >= _KEPT:
            self._kept.pop(next(iter(self._kept)), None)
        self._kept[place] = stream

    def _rows(self, names: Sequence["ObjectMeta"]) -> Iterator[_Row]:
        """Yield a row for each name, with the slash that obstore removed from some."""
        empty = {name["path"] for name in names if not name["size"]}
        asked = sorted(path for path in empty if key_of_name(path) == path)
        is_file = dict(
            zip(asked, self._lookers.map(self._is_empty_file, asked), strict=True)
        )
        for name in names:
            path = name["path"]
            if not name["size"] and not is_file.get(path, True):
                path += "/"
            elif path in is_file:
                is_file[path] = False  # a second one of that name is a marker
            yield _row(name, path)

    def _is_empty_file(self, key: str) -> bool:
        """Tell whether the name listed for an empty object is its own."""
        try:
            found = self._site.ask(
                lambda: obstore.head(self._site.once, name_of(key)), key
            )
        except VanishedError:
            return False
        return found["size"] == 0


def _first_name(prefix: str, after: str | None) -> str | None:
    """Return the name after which the first page begins."""
    directory = prefix[: prefix.rfind("/") + 1]
    if after is not None and after >= prefix:
        return just_below(after)
    if prefix == directory:
        return None
    return just_below(prefix[:-1] + chr(max(0x20, ord(prefix[-1]) - 1)) + LAST_CHAR)


def _row(found: "ObjectMeta", name: str) -> _Row:
    etag = str(found["e_tag"] or "").strip('"').encode()
    modified_ns = nanoseconds(found["last_modified"])
    return _Row(key_of_name(name), found["size"], etag, modified_ns, name)


def nanoseconds(at: datetime) -> int:
    """Return a time as nanoseconds since the epoch, without rounding."""
    return int(at.timestamp()) * 1_000_000_000 + at.microsecond * 1000


def _roll_up(page: _Page, rows: list[_Row], prefix: str, delimiter: str) -> None:
    """Put rows into the page; roll up those with a delimiter after the prefix.

    The rest of the last rolled-up prefix is skipped: a directory may hold very many.
    """
    rolled = None
    for row in rows:
        at = row.key.find(delimiter, len(prefix))
        rolled = row.key[: at + len(delimiter)] if at >= 0 else None
        if rolled is None:
            page.rows.append(row)
        elif rolled not in page.prefixes[-1:]:
            page.prefixes.append(rolled)
    if rolled is not None and page.token is not None:
        page.token = behind_all(rolled)
