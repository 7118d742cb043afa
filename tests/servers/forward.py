"""A proxy as HTTP_PROXY names one: it knows where hosts are that no DNS does."""

import contextlib
import http.client
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit


@dataclass
class Forward:
    """Every request goes to one server, with the host that it was meant for."""

    server: str
    url: str = ""
    asked: list[tuple[str, str]] = field(default_factory=list)  # host, path


@contextlib.contextmanager
def forward(server: str) -> Iterator[Forward]:
    """Run the proxy in front of the server at this URL."""
    made = Forward(server)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, made)) as listening:
        listening.daemon_threads = True
        thread = threading.Thread(target=listening.serve_forever, args=[0.02])
        thread.start()
        made.url = f"http://127.0.0.1:{listening.server_port}"
        try:
            yield made
        finally:
            listening.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, made: Forward, *args: Any) -> None:
        self._made = made
        super().__init__(*args)

    def _pass_on(self) -> None:
        wanted, server = urlsplit(self.path), urlsplit(self._made.server)
        path = f"{wanted.path or '/'}?{wanted.query}".removesuffix("?")
        self._made.asked.append((wanted.netloc, path))
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        near = http.client.HTTPConnection(str(server.hostname), server.port, timeout=30)
        near.putrequest(self.command, path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            near.putheader(name, value)
        near.endheaders(body)
        answer = near.getresponse()
        content = answer.read()
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "connection"):
                self.send_header(name, value)
        if answer.getheader("Content-Length") is None:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        near.close()

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _pass_on  # noqa: N815

    def log_message(self, *args: object) -> None:
        """Say nothing."""
