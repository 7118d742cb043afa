"""Local lister processes, and the rope of spans that they make of a tree."""

import heapq
import json
import mmap
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self, cast

import pyarrow as pa

from haulage.errors import FatalError
from haulage.spool import (
    HUNGER_BYTES,
    HUNGER_FILE,
    from_text,
    read_page,
    span_from_fields,
    span_to_fields,
)
from haulage.storage.walk import Span, Unreadable

_ROOT_SPAN = 0


class Listers:
    """A pool of listers that together list one tree; use as a context manager."""

    def __init__(
        self, root: str, selection: dict[str, object], *, count: int, spool: Path
    ) -> None:
        """Say what to list; `spool` is an empty directory of this listing's own."""
        self._setup: dict[str, object] = {
            "root": root,
            "selection": selection,
            "spool": str(spool),
        }
        self._count = count
        self._spool = spool
        self._changed = threading.Condition()
        self._events: dict[int, deque[dict[str, object]]] = {}
        self._span_at: dict[bytes | None, int] = {}
        self._waiting: list[tuple[bytes, int, Span]] = []
        self._idle: list[subprocess.Popen[bytes]] = []
        self._working: dict[int, int] = {}
        self._readers: list[threading.Thread] = []
        self._lost: str | None = None
        self._ending = False

    def __enter__(self) -> Self:
        self._spool.mkdir(parents=True, exist_ok=True)
        (self._spool / HUNGER_FILE).write_bytes(bytes(HUNGER_BYTES))
        with (self._spool / HUNGER_FILE).open("r+b") as shared:
            self._hunger = mmap.mmap(shared.fileno(), HUNGER_BYTES)
        self._processes = [self._start() for _ in range(self._count)]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ending = True
        for process in self._processes:
            process.kill()  # it only reads, and a farewell takes its interpreter 50 ms
        for reader in self._readers:
            reader.join()
        for process in self._processes:
            process.wait()
            for pipe in (process.stdin, process.stdout):
                assert pipe
                pipe.close()
        self._hunger.close()

    def _start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", "haulage.lister"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
        _send(process, self._setup)
        self._idle.append(process)
        reader = threading.Thread(target=self._read, args=(process,), daemon=True)
        self._readers.append(reader)
        reader.start()
        return process

    def pieces(self, after: bytes | None = None) -> Iterator[pa.Table | Unreadable]:
        """Yield the whole tree's pages behind `after` in canonical order; once."""
        with self._changed:
            self._add(Span(after=after))
        rope = [_ROOT_SPAN]
        while rope:
            event = self._next(rope[-1])
            if "page" in event:
                yield read_page(self._spool / str(event["page"]))
            elif "given" in event:
                rope.append(self._span_at[from_text(event["given"])])
            elif "unreadable" in event:
                lost = from_text(event["unreadable"]) or b""
                yield Unreadable(lost, int(str(event["errno"])))
            else:
                del self._events[rope.pop()]

    def _next(self, span: int) -> dict[str, object]:
        with self._changed:
            while not self._events[span]:
                if self._lost:
                    raise FatalError(self._lost)
                self._changed.wait()
            return self._events[span].popleft()

    def _add(self, span: Span) -> None:
        """Queue a span; the one that comes first in the order is listed first."""
        number = len(self._span_at)
        self._span_at[span.start] = number
        self._events[number] = deque()
        heapq.heappush(self._waiting, (span.start or b"", number, span))
        self._assign()

    def _assign(self) -> None:
        while self._idle and self._waiting:
            _, number, span = heapq.heappop(self._waiting)
            process = self._idle.pop()
            self._working[process.pid] = number
            _send(process, {"span": number, **span_to_fields(span)})
        self._hunger[0] = 1 if self._idle else 0

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        """Take up one lister's lines until it ends."""
        assert process.stdout
        for line in process.stdout:
            with self._changed:
                self._take(process, json.loads(line))
        with self._changed:
            if not self._ending:
                self._lost = (
                    f"lister {process.pid} ended with exit code {process.wait()} in "
                    f"the middle of its work; see its messages above, then resume the "
                    f"run"
                )
            self._changed.notify_all()

    def _take(self, process: subprocess.Popen[bytes], event: dict[str, object]) -> None:
        if "offer" in event:
            self._add(span_from_fields(cast("dict[str, object]", event["offer"])))
            return
        self._events[int(str(event["span"]))].append(event)
        if "end" in event:
            del self._working[process.pid]
            self._idle.append(process)
            self._assign()
        self._changed.notify_all()


def _send(process: subprocess.Popen[bytes], order: dict[str, object]) -> None:
    assert process.stdin
    try:
        os.write(process.stdin.fileno(), json.dumps(order).encode() + b"\n")
    except BrokenPipeError:
        return  # its reader tells how it ended
