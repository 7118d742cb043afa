"""Start movers and listers on this machine, and learn how they end."""

import atexit
import json
import math
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import IO, Any

from haulage.errors import FatalError
from haulage.process import find

# Not to import from the current directory, and to know names whatever the locale.
_PYTHON = (sys.executable, "-P", "-X", "utf8")
_POLL_S = 0.002
_UNKNOWN = 255  # the exit code of whoever ended after the one that saw to it


class _EndedError(FatalError):
    """The process from which movers and listers are forked is gone."""

    def __init__(self) -> None:
        super().__init__(
            "the process from which movers and listers are forked ended twice; its "
            "output above says why (if there is none, it was killed, as a system out "
            "of memory does)"
        )


class Fork:
    """A mover or lister that was started; names mean what they mean in Popen.

    Its pid stays reserved until its exit code is read, which happens only here. If the
    process that it was forked from is gone, its start time identifies it.
    """

    def __init__(
        self, server: "_Server", pid: int, stdin: IO[bytes], stdout: IO[bytes]
    ) -> None:
        self.pid = pid
        self.stdin = stdin
        self.stdout = stdout
        self.returncode: int | None = None
        self._server = server
        self._process = find(pid)
        self._lock = threading.Lock()

    def poll(self) -> int | None:
        """Return its exit code, or None while it is alive."""
        with self._lock:
            if self.returncode is None and not self.is_alive():
                self.returncode = self._server.reap(self.pid)
            return self.returncode

    def is_alive(self) -> bool:
        """Tell whether it still runs, or its exit code was not read yet."""
        return self._process is not None and self._process.is_alive()

    def wait(self, timeout_s: float = math.inf) -> int:
        """Return its exit code; subprocess.TimeoutExpired if it takes too long."""
        deadline = time.monotonic() + timeout_s
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout_s)
            time.sleep(_POLL_S)
        return code

    def terminate(self) -> None:
        """Send it SIGTERM, if it is still alive."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """Send it SIGKILL, if it is still alive."""
        self._send(signal.SIGKILL)

    def close(self) -> None:
        """Close our ends of its pipes."""
        self.stdin.close()
        self.stdout.close()

    def _send(self, number: signal.Signals) -> None:
        with self._lock, suppress(ProcessLookupError):
            if self.returncode is None and self.is_alive():
                os.kill(self.pid, number)


class _Server:
    """The process that others are forked from, see haulage.workers.forkserver.

    One thread talks to it, because a signal must not interrupt a request.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "forks")
        self._channel, its = socket.socketpair()
        with its:
            self._process = subprocess.Popen(
                [*_PYTHON, "-m", "haulage.workers.forkserver", str(its.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[its.fileno()],
                process_group=0,  # a Ctrl-C is for the driver, which then tells us
            )
        self._answers = self._channel.makefile("rb")
        self.driver = os.getpid()

    @property
    def is_usable(self) -> bool:
        """Tell whether it lives, and belongs to this process."""
        return self.driver == os.getpid() and self._process.poll() is None

    def start(self, kind: str, environ: Mapping[str, str], stderr: int) -> Fork:
        """Start a mover or a lister; OSError or _EndedError if that fails.

        A signal may interrupt this anywhere while the main thread waits here.
        """
        given = os.dup(stderr)
        starting = self._thread.submit(self._start, kind, dict(environ), given)
        try:
            return starting.result()
        except BaseException:
            starting.add_done_callback(_discard)
            raise

    def _start(self, kind: str, environ: dict[str, str], stderr: int) -> Fork:
        its_in, our_out = os.pipe()
        our_in, its_out = os.pipe()
        stdin, stdout = os.fdopen(our_out, "wb", 0), os.fdopen(our_in, "rb")
        try:
            request = {"start": kind, "environ": environ, "umask": _umask()}
            answer = self._ask(request, its_in, its_out, stderr)
            return Fork(self, answer["pid"], stdin, stdout)
        except BaseException:
            stdin.close()
            stdout.close()
            raise
        finally:
            for fd in (its_in, its_out, stderr):
                os.close(fd)

    def reap(self, pid: int) -> int:
        """Return the exit code of a process that has ended."""
        try:
            return self._thread.submit(self._ask, {"reap": pid}).result()["code"]
        except (OSError, _EndedError):
            return _UNKNOWN

    def _ask(self, request: dict[str, Any], *given: int) -> dict[str, int]:
        line = json.dumps(request).encode() + b"\n"
        try:
            sent = socket.send_fds(self._channel, [line], given)
            self._channel.sendall(line[sent:])
            answer = self._answers.readline()
        except (OSError, ValueError) as err:  # reset, or closed by another thread
            raise _EndedError from err
        if not answer:
            raise _EndedError
        found: dict[str, int] = json.loads(answer)
        if code := found.get("errno"):
            raise OSError(code, os.strerror(code))
        return found

    def end(self) -> None:
        """End it; the processes that it forked continue."""
        self._answers.close()
        self._channel.close()
        if self.driver == os.getpid():
            self._process.kill()
            self._process.wait()


def _discard(starting: "Future[Fork]") -> None:
    """End a process that nobody needs, and wait for it."""
    if starting.exception() is None:
        fork = starting.result()
        fork.kill()
        fork.close()
        while fork.is_alive():
            time.sleep(_POLL_S)


def _umask() -> int:
    """Return this process's umask; os.umask would change it for all threads."""
    with open("/proc/self/status", "rb") as status:
        line = next(line for line in status if line.startswith(b"Umask:"))
    return int(line.split()[1], 8)


_servers: list[_Server] = []
_starting = threading.Lock()


def prepare() -> None:
    """Begin the imports, unless that was done, so that later starts are quick."""
    _server()


def start(kind: str, environ: Mapping[str, str], stderr: int = 2) -> Fork:
    """Start `mover` or `lister` with this environment.

    OSError if this one cannot be started, FatalError if none can.
    """
    server = _server()
    try:
        return server.start(kind, environ, stderr)
    except _EndedError:
        server.end()
        return _server().start(kind, environ, stderr)


def _server() -> _Server:
    with _starting:
        if not _servers or not _servers[-1].is_usable:
            _end()
            _servers[:] = [_Server()]
        return _servers[-1]


@atexit.register
def _end() -> None:
    for server in _servers:
        server.end()
