"""A server of one bucket in memory, with habits that the real ones of tests lack."""

import base64
import contextlib
import hashlib
import threading
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

_NO_KEYS = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"


@dataclass
class Habits:
    """How the server differs, and what it was asked."""

    region: str = "us-east-1"
    etags_are_md5: bool = True
    encryption: str = ""
    refused: tuple[str, ...] = ()  # headers of checksums that it does not know
    checks_sha256: bool = False
    stores: bytes | None = None  # instead of what is sent
    tells: dict[str, str] = field(default_factory=dict)  # of an object, if asked
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    objects: dict[str, tuple[bytes, str]] = field(default_factory=dict)


@contextlib.contextmanager
def peculiar(habits):
    """Run the server; yield its URL."""
    handler = partial(_Handler, habits)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=[0.02])
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, habits, *args):
        self.habits = habits
        super().__init__(*args)

    def log_message(self, format, *args):  # noqa: A002
        pass

    def do_PUT(self):
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self._is_refused():
            return
        sent = self.headers.get("x-amz-checksum-sha256")
        own = base64.b64encode(hashlib.sha256(content).digest()).decode()
        if self.habits.checks_sha256 and sent not in (None, own):
            self._refuse(400, "BadDigest")
            return
        kept = content if self.habits.stores is None else self.habits.stores
        etag = hashlib.md5(kept).hexdigest()
        if not self.habits.etags_are_md5:
            etag = hashlib.md5(etag.encode() + b"salt").hexdigest()
        self.habits.objects[self.path] = (kept, etag)
        self._answer(200, self._about(etag), b"")

    def do_GET(self):
        if self._is_refused():
            return
        if "list-type" in self.path:
            self._answer(200, {"x-amz-bucket-region": self.habits.region}, _NO_KEYS)
        elif self.path in self.habits.objects:
            content, etag = self.habits.objects[self.path]
            self._answer(200, self._about(etag), content)
        else:
            self._refuse(404, "NoSuchKey")

    def do_HEAD(self):
        self.do_GET()

    def _about(self, etag):
        about = {"ETag": f'"{etag}"', "Last-Modified": "Sat, 21 Nov 2026 11:00:00 GMT"}
        if self.habits.encryption:
            about["x-amz-server-side-encryption"] = self.habits.encryption
        if self.headers.get("x-amz-checksum-mode") == "ENABLED":
            about |= self.habits.tells
        return about

    def _is_refused(self):
        self.habits.asked.append(
            (self.command, urlsplit(self.path).path, dict(self.headers.items()))
        )
        if f"/{self.habits.region}/s3/" not in self.headers.get("Authorization", ""):
            self._refuse(400, "AuthorizationHeaderMalformed")
            return True
        if any(name in self.headers for name in self.habits.refused):
            self._refuse(400, "InvalidRequest")
            return True
        return False

    def _refuse(self, status, code):
        region = f"<Region>{self.habits.region}</Region>"
        body = f"<Error><Code>{code}</Code><Message>no</Message>{region}</Error>"
        self._answer(status, {"x-amz-bucket-region": self.habits.region}, body.encode())

    def _answer(self, status, headers, body):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
