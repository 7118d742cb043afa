"""Fork movers and listers from one process, which has done their imports.

An interpreter that imports Arrow takes 0.2 s of a processor, a fork of one that has
done so 0.01 s. Requests come through a socket, in lines of JSON, and so do answers:
`start` comes with three descriptors, which the new process gets as its standard input,
output and error; `reap` asks how a finished one ended. The server ends when the socket
closes.
"""

import haulage.start  # comes before all else

# isort: split

import haulage.lean  # noqa: F401  comes before pyarrow

# isort: split

import gc
import json
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, NoReturn

from haulage.workers import lister, mover

_KINDS: Mapping[str, Callable[[], int]] = {"mover": mover.main, "lister": lister.main}
_STANDARD = 3  # descriptors: input, output, error

# Titles go where the arguments were, and leave the environment readable behind them.
os.environ["SPT_NOENV"] = "1"
from setproctitle import setproctitle  # noqa: E402  reads that when it is loaded


def main() -> int:
    """Serve until the process that started this is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver decides, then ends us
    setproctitle("haulage.forkserver")
    gc.collect()
    gc.freeze()  # so that forks share what is there, and need not copy it to look at it
    reset = suppress(ConnectionError)  # as a driver leaves it that was killed
    with socket.socket(fileno=int(sys.argv[1])) as channel, reset:
        for request, given in _requests(channel):
            answer = _answer(channel, request, given)
            channel.sendall(json.dumps(answer).encode() + b"\n")
    return 0


def _requests(channel: socket.socket) -> Iterator[tuple[dict[str, Any], list[int]]]:
    """Yield requests one at a time, each with the descriptors that came along."""
    while True:
        line, given, _, _ = socket.recv_fds(channel, 1 << 16, _STANDARD)
        while line and not line.endswith(b"\n"):
            line += channel.recv(1 << 16)
        if not line:
            return
        yield json.loads(line), given


def _answer(
    channel: socket.socket, request: dict[str, Any], given: list[int]
) -> dict[str, int]:
    if "reap" in request:
        return _reaped(request["reap"])
    try:
        pid = os.fork()
    except OSError as err:
        return {"errno": err.errno or 0}
    if pid == 0:
        channel.close()
        os.umask(request["umask"])
        _become(request["start"], request["environ"], given)
    for fd in given:
        os.close(fd)
    return {"pid": pid}


def _reaped(pid: int) -> dict[str, int]:
    """Return how a process ended; a second request for it is an error."""
    try:
        _, status = os.waitpid(pid, 0)
    except ChildProcessError as err:
        return {"errno": err.errno or 0}
    return {"code": os.waitstatus_to_exitcode(status)}


def _become(kind: str, environ: Mapping[str, str], given: Sequence[int]) -> NoReturn:
    """Become a mover or a lister, and exit with its exit code."""
    code = 1
    try:
        os.setpgid(0, 0)
        for number, fd in enumerate(given):
            os.dup2(fd, number)
            os.close(fd)
        os.environ.clear()
        os.environ.update(environ)
        setproctitle(f"haulage.{kind}")
        code = _KINDS[kind]()
        sys.stdout.flush()
    except BaseException:  # noqa: BLE001  told on its standard error, then it ends
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    sys.exit(main())
