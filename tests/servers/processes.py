"""Start a server as a process of its own, wait for its first answer, and end it."""

import http.client
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_POLL_S = 0.02
_START_S = 60.0
_STOP_S = 3.0
_LOG_CHARS = 4000


class ServerFailedError(Exception):
    """A server that ended, or gave no answer, before it could be used."""


@dataclass(frozen=True)
class Command:
    """How a server is started, and the path that it answers when it is ready."""

    words: Sequence[str | Path]
    settings: Mapping[str, str]
    port: int
    probe: str = "/"


@contextmanager
def running(command: Command, directory: Path) -> Iterator[Path]:
    """Run a server whose data last as long as it does; yield its log, which stays.

    It sees no more of the environment than it needs, so that nobody's own settings
    change what a test means.
    """
    data = directory / "data"
    data.mkdir(parents=True)
    log = directory / "log"
    settings = {"PATH": "/usr/bin:/bin", "HOME": str(data), "TMPDIR": str(data)}
    with log.open("wb") as out:
        process = subprocess.Popen(
            list(map(str, command.words)),
            env=settings | dict(command.settings),
            cwd=data,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_for_answer(process, command, log)
        yield log
    finally:
        _end(process)
        shutil.rmtree(data, ignore_errors=True)


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for_answer(
    process: subprocess.Popen[bytes], command: Command, log: Path
) -> None:
    deadline = time.monotonic() + _START_S
    while not _answers(command):
        if process.poll() is not None or time.monotonic() > deadline:
            break
        time.sleep(_POLL_S)
    else:
        if process.poll() is None:
            return  # and so it was this process that answered
    state = "gives no answer" if process.returncode is None else "has ended"
    raise ServerFailedError(
        f"{command.words[0]} {state} on port {command.port}; its log {log} ends:\n"
        + log.read_text(errors="replace")[-_LOG_CHARS:]
    )


def _answers(command: Command) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", command.port, timeout=5)
    try:
        connection.request("GET", command.probe)
        return connection.getresponse().status < http.HTTPStatus.INTERNAL_SERVER_ERROR
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
