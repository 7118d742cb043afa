"""Run a command and tell what it and all its descendants took."""

import ctypes
import json
import os
import resource
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

SAMPLE_EVERY_S = 0.05
TIMEOUT_S = 1800.0
PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True, slots=True)
class Usage:
    """What one run of a command took; memory in KiB."""

    wall_s: float
    user_s: float
    system_s: float
    together_kib: int  # highest sum of resident memory; 0 if it ended too soon to tell
    largest_kib: int  # highest resident memory of any one process
    engine_s: float | None = None  # what a tool says that it took without its start

    @property
    def work_s(self) -> float:
        """Return the time without the start of an interpreter, where it is told."""
        return self.wall_s if self.engine_s is None else self.engine_s

    @property
    def cpu_s(self) -> float:
        """Return user and system time together."""
        return self.user_s + self.system_s


def adopt_orphans() -> None:
    """Become the parent of descendants whose parent ends, so that none is missed."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def run(command: Sequence[str], env: Mapping[str, str]) -> Usage:
    """Run `command` to its end; RuntimeError with its words if it fails."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    with _Watch() as watch:
        # A session of its own, because fpsync signals its whole process group.
        child = subprocess.Popen(
            command,
            env={**os.environ, **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        told, said = _words_of(child)
        _reap_orphans()
    wall_s = time.perf_counter() - began
    if child.returncode:
        tail = said.decode(errors="replace")[-2000:]
        raise RuntimeError(f"{' '.join(command)}: exit {child.returncode}: {tail}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Usage(
        wall_s,
        after.ru_utime - before.ru_utime,
        after.ru_stime - before.ru_stime,
        watch.together_kib,
        watch.largest_kib,
        _engine_s(told),
    )


def _words_of(child: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
    try:
        return child.communicate(timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        told, said = child.communicate()
        return told, said + b"; killed after %d s" % TIMEOUT_S
    except BaseException:  # whoever stops the bench stops what it has started
        os.killpg(child.pid, signal.SIGKILL)
        raise


def _engine_s(told: bytes) -> float | None:
    """Return the seconds in the JSON object that a tool printed last, if it did."""
    line = told.strip().rpartition(b"\n")[2]
    if not line.startswith(b"{"):
        return None
    seconds: float | None = json.loads(line).get("seconds")
    return seconds


def _reap_orphans() -> None:
    """Wait for descendants that outlived the command: their time is its time."""
    while True:
        try:
            os.wait()
        except ChildProcessError:
            return


@dataclass
class _Watch:
    """Samples the memory of every descendant from a thread."""

    together_kib: int = 0
    largest_kib: int = 0
    _ended: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._thread:
            self._thread.join()

    def _sample(self) -> None:
        while not self._ended.wait(SAMPLE_EVERY_S):
            now = [_memory_of(pid) for pid in _descendants(os.getpid())]
            self.together_kib = max(self.together_kib, sum(rss for rss, _ in now))
            self.largest_kib = max([self.largest_kib, *(peak for _, peak in now)])


def _descendants(pid: int) -> list[int]:
    found, todo = [], [pid]
    while todo:
        children = _children(todo.pop())
        found += children
        todo += children
    return found


def _children(pid: int) -> list[int]:
    """Return the children that all threads of `pid` started."""
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
        texts = [_read(f"/proc/{pid}/task/{task}/children") for task in tasks]
    except (FileNotFoundError, ProcessLookupError):
        return []  # it ended meanwhile
    return [int(child) for text in texts for child in text.split()]


def _memory_of(pid: int) -> tuple[int, int]:
    """Return a process's resident memory in KiB, now and at its highest."""
    try:
        lines = _read(f"/proc/{pid}/status").splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0, 0
    values = dict(line.split(":", 1) for line in lines if line.startswith("Vm"))
    now, peak = values.get("VmRSS", "0 kB"), values.get("VmHWM", "0 kB")
    return int(now.split()[0]), int(peak.split()[0])


def _read(path: str) -> str:
    with open(path, encoding="ascii", errors="replace") as file:
        return file.read()
