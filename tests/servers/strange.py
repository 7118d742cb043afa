"""A server that knows nothing but to list one bucket, and does that wrong if wanted.

It speaks ListObjectsV2 with prefix, delimiter, start-after, pages and encoding. The
proxy makes what any server needs: an error document with status 200, for one.
"""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from enum import Enum, auto
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import groupby
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, urlsplit
from xml.sax.saxutils import escape

SIZE_BYTES = 7  # of every object
_ETAG = "8a7b9c3d1e5f40718293a4b5c6d7e8f9"


class Habit(Enum):
    """What is wrong with the pages."""

    NONE = auto()
    UNSORTED = auto()  # keys come in the order in which they were given
    REPEATED_TOKEN = auto()  # the token of the first page comes with every page
    EMPTY_PAGE = auto()  # an empty page, with more to come, before each other one
    DUPLICATE_KEY = auto()  # a page begins with the last key of the one before


class Entry(NamedTuple):
    """A key, or a common prefix, which ends with the delimiter."""

    name: str
    is_prefix: bool


class Page(NamedTuple):
    """What one request gets, and where the next one begins, None after the last."""

    entries: Sequence[Entry]
    following: str | None


@contextlib.contextmanager
def strange(
    keys: Sequence[str], habit: Habit = Habit.NONE, page_keys: int = 1000
) -> Iterator[str]:
    """Run a server whose only bucket, of any name, has these keys; yield its URL."""
    handler = partial(_Handler, _Listing(keys, habit, page_keys))
    with _Server(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.02])
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class _Server(ThreadingHTTPServer):
    block_on_close = False  # clients keep their connections


class _Listing(NamedTuple):
    keys: Sequence[str]
    habit: Habit
    page_keys: int

    def page(self, asked: dict[str, str]) -> Page:
        """Return the page that starts where the client says."""
        entries = self._entries(asked)
        token = asked.get("continuation-token", "")
        start = int(token.strip("e")) if token else 0
        if self.habit is Habit.EMPTY_PAGE and not token.startswith("e"):
            return Page([], f"e{start}")
        size = min(self.page_keys, int(asked.get("max-keys", 1000)))
        again = 1 if self.habit is Habit.DUPLICATE_KEY and start else 0
        page, after = entries[start - again : start + size], start + size
        if self.habit is Habit.REPEATED_TOKEN:
            return Page(page, str(size))
        return Page(page, str(after) if after < len(entries) else None)

    def _entries(self, asked: dict[str, str]) -> list[Entry]:
        """Return what a listing without pages would hold."""
        prefix, delimiter = asked.get("prefix", ""), asked.get("delimiter", "")
        begin = asked.get("start-after", "").encode()
        keys = [key for key in self.keys if key.startswith(prefix)]
        keys = [key for key in keys if key.encode() > begin]
        if self.habit is not Habit.UNSORTED:
            keys.sort(key=str.encode)
        found = (_entry(key, len(prefix), delimiter) for key in keys)
        return [entry for entry, _ in groupby(found)]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, listing: _Listing, *args: Any) -> None:
        self._listing = listing
        super().__init__(*args)

    def do_GET(self) -> None:
        asked = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        body = _document(self._listing.page(asked), asked).encode()
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


def _entry(key: str, prefix_chars: int, delimiter: str) -> Entry:
    end = key.find(delimiter, prefix_chars) if delimiter else -1
    if end < 0:
        return Entry(key, is_prefix=False)
    return Entry(key[: end + len(delimiter)], is_prefix=True)


def _document(page: Page, asked: dict[str, str]) -> str:
    by_url = asked.get("encoding-type") == "url"
    entries = "".join(_element(entry, by_url=by_url) for entry in page.entries)
    token = page.following
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<Name>strange</Name><KeyCount>{len(page.entries)}</KeyCount>"
        f"<MaxKeys>{asked.get('max-keys', 1000)}</MaxKeys>"
        + ("<EncodingType>url</EncodingType>" if by_url else "")
        + f"<IsTruncated>{'false' if token is None else 'true'}</IsTruncated>"
        + (f"<NextContinuationToken>{token}</NextContinuationToken>" if token else "")
        + f"{entries}</ListBucketResult>"
    )


def _element(entry: Entry, *, by_url: bool) -> str:
    name = quote(entry.name) if by_url else escape(entry.name)
    if entry.is_prefix:
        return f"<CommonPrefixes><Prefix>{name}</Prefix></CommonPrefixes>"
    return (
        f"<Contents><Key>{name}</Key><LastModified>2024-02-29T12:00:00.000Z"
        f"</LastModified><ETag>&quot;{_ETAG}&quot;</ETag><Size>{SIZE_BYTES}</Size>"
        "<StorageClass>STANDARD</StorageClass></Contents>"
    )
