"""A proxy in front of an S3 server, which makes known faults in chosen requests.

It passes heads on byte by byte, so that signatures hold, and bodies as they come. It
also runs alone, to put the latency of a far server before a near one:

    python -m tests.servers.proxy --target http://127.0.0.1:9000 --delay-ms 20
"""

import argparse
import contextlib
import errno
import socket
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

from tests.servers.exchange import Exchanges
from tests.servers.faults import Delay, Ledger, Rule, Seen

_BACKLOG = 512


class Proxy:
    """A proxy that runs in threads of this process, one for each connection."""

    def __init__(self, target: str, *rules: Rule) -> None:
        self._ledger = Ledger(rules)
        parts = urlsplit(target)
        self._target = (str(parts.hostname), int(parts.port or 80))
        self._ended = threading.Event()
        self._clients: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG)
        self.port = int(self._listener.getsockname()[1])
        self.endpoint = f"http://127.0.0.1:{self.port}"

    def add(self, *rules: Rule) -> None:
        """Put more rules behind those in force."""
        self._ledger.add(*rules)

    def seen(self, method: str = "", target: str = "") -> list[Seen]:
        """Return the requests of a method (any, if empty) in whose path and query the
        regular expression `target` is found."""
        return self._ledger.seen(method, target)

    def serve(self) -> None:
        """Pass on what comes until `close`, which ends all connections."""
        while (client := self._next()) is not None:
            with self._lock:
                self._clients.add(client)
            threading.Thread(target=self._pass, args=[client], daemon=True).start()
        self._listener.close()
        self._ended.set()
        with self._lock:
            for client in self._clients:
                with contextlib.suppress(OSError):  # it has just ended
                    client.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let `serve` end."""
        self._listener.shutdown(socket.SHUT_RDWR)

    def _next(self) -> socket.socket | None:
        try:
            return self._listener.accept()[0]
        except OSError as error:
            if error.errno == errno.EINVAL:  # so Linux says that it was shut down
                return None
            raise

    def _pass(self, client: socket.socket) -> None:
        try:
            Exchanges(client, self._target, self._ledger, self._ended).run()
        finally:
            with self._lock:
                self._clients.discard(client)


@contextlib.contextmanager
def proxy(target: str, *rules: Rule) -> Iterator[Proxy]:
    """Run a proxy in front of the server at the URL `target`."""
    made = Proxy(target, *rules)
    thread = threading.Thread(target=made.serve, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.close()
        thread.join()


def main() -> None:
    """Run a proxy that only delays, and print its port."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--target", required=True, help="URL of the server")
    parser.add_argument("--delay-ms", type=float, default=0.0)
    wanted = parser.parse_args()
    made = Proxy(wanted.target, Rule(Delay(wanted.delay_ms / 1000), times=None))
    print(made.port, flush=True)
    made.serve()


if __name__ == "__main__":
    main()
