"""Commands that need not do their imports, a second of a processor each time.

Each is a process like any other, with an environment, a directory, streams and an exit
code of its own. It is forked off one that has the modules loaded and has run nothing.
"""

import atexit
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import IO, Any, NoReturn

import haulage.lean  # noqa: F401  sets a variable for whoever imports it, sooner or later

_PROJECT = Path(__file__).parents[2]
_SERVE = "import sys; from tests.e2e.warm import serve; serve(int(sys.argv[1]))"
_MODULES = (
    "haulage.cli.main",  # comes first, as in a command
    "alembic.command",
    *(f"haulage.cli.commands.{name}" for name in ("deletes", "run", "show", "sweep")),
)
_MOST_BYTES = 1 << 20  # of a request
# What an interpreter reads when it starts, which these do not do again.
_READ_EARLY = ("LC_", "LANG", "LD_", "LOCPATH", "MALLOC_", "OPENBLAS_", "PYTHON", "TZ")


def _early(environment: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in environment.items()
        if name.startswith(_READ_EARLY)
    }


_KNOWN = _early(os.environ)


def would_start_alike(environment: Mapping[str, str]) -> bool:
    """Tell whether a fork is what an interpreter of this environment would be."""
    return _early(environment) == _KNOWN


def run(
    words: Sequence[str], environment: Mapping[str, str], directory: Path
) -> tuple[int, bytes, bytes]:
    """Run `haulage` with these words; return its exit code and what it printed."""
    request = {
        "words": list(words),
        "environment": dict(environment),
        "directory": str(directory),
        "umask": _umask(),
    }
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        code = _carried_out(json.dumps(request).encode(), out, err)
        return code, _all_of(out), _all_of(err)


def _carried_out(request: bytes, out: IO[bytes], err: IO[bytes]) -> int:
    ours, its = os.pipe()
    with os.fdopen(ours, "rb") as told:
        try:
            given = [out.fileno(), err.fileno(), its]
            socket.send_fds(_server(os.getpid()), [request], given)
        finally:
            os.close(its)
        pid = int(told.readline())
        try:
            return int(told.readline())
        except BaseException:  # a test that takes too long
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            raise


@cache
def _server(driver: int) -> socket.socket:
    """Start the process that is forked from, once for each that asks for it."""
    channel, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    channel.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _MOST_BYTES)
    with its:
        process = subprocess.Popen(
            [sys.executable, "-c", _SERVE, str(its.fileno())],
            cwd=_PROJECT,
            env={"PATH": os.environ["PATH"], **_KNOWN},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[its.fileno()],
        )
    atexit.register(_end, channel, process)
    return channel


def _end(channel: socket.socket, process: subprocess.Popen[bytes]) -> None:
    channel.close()
    process.wait()


def serve(channel_fd: int) -> None:
    """Fork a command for each request, until whoever asks is gone."""
    for name in _MODULES:
        __import__(name)
    sys.path.remove("")  # a command finds nothing in its directory
    assert threading.active_count() == 1, "a fork would have only one of the threads"
    gc.collect()
    gc.freeze()  # so that forks share what is there, and need not copy it to look at it
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # who waits for a command just ends
    with socket.socket(fileno=channel_fd) as channel:
        for request, given in _requests(channel):  # noqa: B007  the last is carried out
            if os.fork() == 0:
                break
            for fd in given:
                os.close(fd)
        else:
            return
    with _seen_to(given[2]):
        _become(json.loads(request), *given[:2])


def _requests(channel: socket.socket) -> Iterator[tuple[bytes, list[int]]]:
    while True:
        request, given, _, _ = socket.recv_fds(channel, _MOST_BYTES, 3)
        if not request:
            return
        yield request, given


@contextmanager
def _seen_to(told: int) -> Iterator[None]:
    """Go on in a child, and tell its number and its exit code from here."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if pid := os.fork():
        os.write(told, b"%d\n" % pid)
        _, status = os.waitpid(pid, 0)
        os.write(told, b"%d\n" % os.waitstatus_to_exitcode(status))
        os._exit(0)
    os.close(told)
    yield


def _become(request: dict[str, Any], out: int, err: int) -> NoReturn:
    from haulage.cli.entry import main

    for fd, given in ((1, out), (2, err)):
        os.dup2(given, fd)
        os.close(given)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.umask(request["umask"])
    os.chdir(request["directory"])
    sys.argv[:] = ["haulage", *request["words"]]
    sys.exit(main())


def _all_of(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()


def _umask() -> int:
    with open("/proc/self/status") as status:
        line = next(line for line in status if line.startswith("Umask:"))
    return int(line.split()[1], 8)
