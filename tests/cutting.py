"""A way to Postgres that breaks at a COMMIT, before it arrives or is answered."""

import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_COMMIT = b"COMMIT\x00"
_SOCKET = ".s.PGSQL.5432"


class Cutter:
    """Passes bytes between clients and a server, but for what is to be cut.

    `cuts` is asked with the number of each COMMIT, counted from 1. What is cut is
    carried out all the same if it `arrives`.
    """

    def __init__(self, server: Path, here: Path) -> None:
        self.directory = here
        self.cuts: Callable[[int], bool] = lambda _: False
        self.arrives = True
        self.commits = self.was_cut = 0
        self._server = server / _SOCKET
        self._lock = threading.Lock()
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(here / _SOCKET))
        self._listening.listen()

    def serve(self) -> None:
        """Take connections until `close`, then see them end."""
        passing: list[threading.Thread] = []
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                passing.append(threading.Thread(target=self._pass, args=(client,)))
                passing[-1].start()
        self._listening.close()
        for thread in passing:
            thread.join()

    def close(self) -> None:
        """Take no more connections."""
        self._listening.shutdown(socket.SHUT_RDWR)

    def _pass(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as server, suppress(OSError):
            server.connect(str(self._server))
            while True:
                ready, _, _ = select.select([client, server], [], [])
                one = ready[0]
                some = one.recv(1 << 16)
                if one is client and some.endswith(_COMMIT) and self._is_cut():
                    return self._cut(client, server, some)
                if not some:
                    return None
                (server if one is client else client).sendall(some)

    def _is_cut(self) -> bool:
        with self._lock:
            self.commits += 1
            cut = self.cuts(self.commits)
            self.was_cut += cut
            return cut

    def _cut(self, client: socket.socket, server: socket.socket, some: bytes) -> None:
        client.shutdown(socket.SHUT_RDWR)
        if self.arrives:
            server.sendall(some)
            server.recv(1 << 16)


@contextmanager
def cutter(server: Path, here: Path) -> Iterator[Cutter]:
    """Give a way to the server whose socket is in `server`, through one in `here`."""
    between = Cutter(server, here)
    thread = threading.Thread(target=between.serve)
    thread.start()
    try:
        yield between
    finally:
        between.close()
        thread.join()
