"""The part of Google's XML interface that a client of buckets uses, in memory.

No emulator that could be installed without a container answers HEAD and a listing of
that interface. Names are kept as they come, in the order of their bytes. Whoever does
not bring the token is refused; a name's etag is the MD5 of what came in one piece.
"""

import hashlib
import re
import secrets
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

_KEPT = frozenset(
    {
        "cache-control",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-type",
    }
)
_META = "x-goog-meta-"
_PART = re.compile(r"<PartNumber>(\d+)</PartNumber>")


@dataclass(frozen=True)
class Blob:
    """One object."""

    content: bytes
    etag: str
    headers: Mapping[str, str]
    made_s: float = field(default_factory=time.time)


def md5_of(content: bytes) -> str:
    """Return the etag of what came in one piece."""
    return hashlib.md5(content).hexdigest()


@dataclass
class GoogleServer:
    """Buckets on this machine; `token` lets in, `refusals` are answered first."""

    endpoint: str
    token: str
    most_names: int = 1000  # of a page
    buckets: dict[str, dict[str, Blob]] = field(default_factory=dict)
    uploads: dict[str, tuple[dict[str, str], dict[int, bytes]]] = field(
        default_factory=dict
    )
    refusals: list[int] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    etag_of: Callable[[bytes], str] = md5_of
    lock: threading.Lock = field(default_factory=threading.Lock)

    def put(self, bucket: str, key: str, content: bytes) -> None:
        """Make an object of any name."""
        self.buckets[bucket][key] = Blob(content, self.etag_of(content), {})


@contextmanager
def google() -> Iterator[GoogleServer]:
    """Run the server in a thread."""
    server = _Server(("127.0.0.1", 0), _Handler)
    state = GoogleServer(
        f"http://127.0.0.1:{server.server_address[1]}", secrets.token_hex(8)
    )
    server.state = state  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True  # clients keep their connections open

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _RefusedError(Exception):
    """An answer that is no success."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    codes: ClassVar = {
        401: "AuthenticationRequired",
        404: "NoSuchKey",
        412: "PreconditionFailed",
        416: "InvalidRange",
        503: "SlowDown",
    }

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass

    def _answer(self) -> None:
        state: GoogleServer = self.server.state  # type: ignore[attr-defined]
        length = int(self.headers.get("Content-Length") or 0)
        self.body = self.rfile.read(length)
        split = urlsplit(self.path)
        self.query = {
            name: values[0]
            for name, values in parse_qs(split.query, keep_blank_values=True).items()
        }
        bucket, _, key = split.path[1:].partition("/")
        try:
            with state.lock:
                state.asked.append(f"{self.command} {self.path}")
                self._let_in(state, unquote(bucket))
                self._do(state, state.buckets[unquote(bucket)], unquote(key))
        except _RefusedError as err:
            status, *code = err.args
            self._send(status, _error(code[0] if code else self.codes[status]))

    def _let_in(self, state: GoogleServer, bucket: str) -> None:
        if state.refusals:
            raise _RefusedError(state.refusals.pop(0))
        if self.headers.get("Authorization") != f"Bearer {state.token}":
            raise _RefusedError(401)
        if bucket not in state.buckets:
            raise _RefusedError(404, "NoSuchBucket")

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _answer  # noqa: N815

    def _do(self, state: GoogleServer, blobs: dict[str, Blob], key: str) -> None:
        if not key:
            self._list(blobs, state.most_names)
        elif self.command in ("GET", "HEAD"):
            self._get(blobs, key)
        elif "uploads" in self.query or "uploadId" in self.query:
            self._upload(state, blobs, key)
        elif self.command == "DELETE":
            if blobs.pop(key, None) is None:
                raise _RefusedError(404)
            self._send(204)
        else:
            self._put(state, blobs, key)

    # ------------------------------------------------------------------ objects

    def _put(self, state: GoogleServer, blobs: dict[str, Blob], key: str) -> None:
        source = self.headers.get("x-goog-copy-source")
        if source is None:
            blobs[key] = Blob(self.body, state.etag_of(self.body), self._kept_headers())
            self._send(200, headers={"ETag": f'"{blobs[key].etag}"'})
            return
        found = blobs.get(unquote(source.partition("/")[2]))
        if found is None:
            raise _RefusedError(404)
        blobs[key] = Blob(found.content, found.etag, found.headers)
        self._send(
            200, f"<CopyObjectResult><ETag>{found.etag}</ETag></CopyObjectResult>"
        )

    def _kept_headers(self) -> dict[str, str]:
        return {
            name.lower(): value
            for name, value in self.headers.items()
            if name.lower() in _KEPT or name.lower().startswith(_META)
        }

    def _get(self, blobs: dict[str, Blob], key: str) -> None:
        blob = blobs.get(key)
        if blob is None:
            raise _RefusedError(404)
        wanted = self.headers.get("If-Match")
        if wanted not in (None, f'"{blob.etag}"'):
            raise _RefusedError(412)
        headers = dict(blob.headers) | {
            "ETag": f'"{blob.etag}"',
            "Last-Modified": formatdate(blob.made_s, usegmt=True),
        }
        bounds = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if not bounds:
            self._send(200, blob.content, headers)
            return
        first, last = int(bounds[1]), min(int(bounds[2]), len(blob.content) - 1)
        if first > last:
            raise _RefusedError(416)
        headers["Content-Range"] = f"bytes {first}-{last}/{len(blob.content)}"
        self._send(206, blob.content[first : last + 1], headers)

    def _upload(self, state: GoogleServer, blobs: dict[str, Blob], key: str) -> None:
        if "uploads" in self.query:
            begun = secrets.token_hex(8)
            state.uploads[begun] = (self._kept_headers(), {})
            text = f"<UploadId>{begun}</UploadId>"
            self._send(200, f"<Result>{text}</Result>")
            return
        begun = self.query["uploadId"]
        if begun not in state.uploads:
            raise _RefusedError(404, "NoSuchUpload")
        headers, parts = state.uploads[begun]
        if self.command == "PUT":
            parts[int(self.query["partNumber"])] = self.body
            self._send(200, headers={"ETag": f'"{md5_of(self.body)}"'})
            return
        del state.uploads[begun]
        if self.command == "DELETE":
            self._send(204)
            return
        numbers = [int(number) for number in _PART.findall(self.body.decode())]
        content = b"".join(parts[number] for number in numbers)
        blobs[key] = Blob(content, f"-{secrets.token_hex(8)}", headers)
        self._send(200, f'<Result><ETag>"{blobs[key].etag}"</ETag></Result>')

    # ------------------------------------------------------------------ listing

    def _list(self, blobs: dict[str, Blob], most: int) -> None:
        if self.command != "GET":
            raise _RefusedError(400, "InvalidArgument")
        prefix = self.query.get("prefix", "")
        delimiter = self.query.get("delimiter")
        after = self.query.get("continuation-token") or self.query.get("start-after")
        names = [
            name
            for name in sorted(blobs)
            if name.startswith(prefix) and (after is None or name > after)
        ]
        texts: list[str] = []
        for name in names[:most]:
            at = name.find(delimiter, len(prefix)) if delimiter else -1
            if at >= 0:
                rolled = f"<Prefix>{escape(name[: at + 1])}</Prefix>"
                texts.append(f"<CommonPrefixes>{rolled}</CommonPrefixes>")
            else:
                texts.append(_listed(name, blobs[name]))
        if len(names) > most:
            token = escape(names[most - 1])
            texts.append(f"<NextContinuationToken>{token}</NextContinuationToken>")
        self._send(200, f"<ListBucketResult>{''.join(texts)}</ListBucketResult>")

    def _send(
        self,
        status: int,
        body: str | bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        content = body.encode() if isinstance(body, str) else body
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _listed(name: str, blob: Blob) -> str:
    made = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(blob.made_s))
    return (
        f"<Contents><Key>{escape(name)}</Key><Size>{len(blob.content)}</Size>"
        f"<LastModified>{made}.000Z</LastModified>"
        f'<ETag>"{blob.etag}"</ETag></Contents>'
    )


def _error(code: str) -> str:
    return f"<Error><Code>{code}</Code><Message>refused</Message></Error>"
