"""Ordered listing: lister processes list spans, one consumer reads them in order."""

import heapq
import json
import mmap
import os
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from typing import cast

import pyarrow as pa

from haulage.errors import FatalError
from haulage.exchange.listing_pages import (
    HUNGER_BYTES,
    HUNGER_FILE,
    Setup,
    from_text,
    read_page,
    span_from_fields,
    span_to_fields,
)
from haulage.launch import forks
from haulage.launch.forks import Fork
from haulage.private import make_file
from haulage.storage.buckets.keys.server_pages import DisorderError
from haulage.storage.tree.listing.walk import Span, Unreadable

_ROOT_SPAN = 0


class OrderedListing:
    """Listers that together list one tree or bucket, once.

    A lister has as many idle places as it has lanes.
    """

    def __init__(self, setup: Setup, count: int, environ: Mapping[str, str]) -> None:
        """Start the listers; `environ` is added to what they inherit."""
        self._setup = setup
        self._environ = os.environ | dict(environ)
        self._changed = threading.Condition()
        self._events: dict[int, deque[dict[str, object]]] = {}
        self._span_at: dict[bytes | None, int] = {}
        self._waiting: list[tuple[bytes, int, Span]] = []
        self._readers: list[threading.Thread] = []
        self._lost: FatalError | DisorderError | None = None
        self._ending = False
        self.decided: set[int] = set()  # numbers of rules, as lists that ended tell
        make_file(setup.spool / HUNGER_FILE)
        (setup.spool / HUNGER_FILE).write_bytes(bytes(HUNGER_BYTES))
        with (setup.spool / HUNGER_FILE).open("r+b") as shared:
            self._hunger = mmap.mmap(shared.fileno(), HUNGER_BYTES)
        self.processes = [self._start() for _ in range(count)]
        self._idle = deque(self.processes * setup.lanes)
        for process in self.processes:
            reader = threading.Thread(target=self._read, args=(process,), daemon=True)
            self._readers.append(reader)
            reader.start()

    def end(self) -> None:
        """End every lister, whatever it is doing."""
        self._ending = True
        for process in self.processes:
            process.kill()  # it only reads, and a farewell takes its interpreter 50 ms
        for reader in self._readers:
            reader.join()
        for process in self.processes:
            process.wait()
            process.close()
        self._hunger.close()

    def _start(self) -> Fork:
        process = forks.start("lister", self._environ)
        _send(process, self._setup.as_fields())
        return process

    def pieces(self, after: bytes | None) -> Iterator[pa.Table | Unreadable]:
        """Yield all pages after `after` in canonical order; once.

        DisorderError if a lister found that its server lists in another order.
        """
        with self._changed:
            self._add(Span(after=after))
        ordered = [_ROOT_SPAN]
        while ordered:
            event = self._next(ordered[-1])
            if "page" in event:
                yield read_page(self._setup.spool / str(event["page"]))
            elif "given" in event:
                ordered.append(self._span_at[from_text(event["given"])])
            elif "unreadable" in event:
                yield _unreadable(event)
            else:
                del self._events[ordered.pop()]

    def _next(self, span: int) -> dict[str, object]:
        with self._changed:
            while True:
                if isinstance(self._lost, DisorderError):
                    raise self._lost  # what came before it may lack something
                if self._events[span]:
                    return self._events[span].popleft()
                if self._lost:
                    raise self._lost
                self._changed.wait()

    def _add(self, span: Span) -> None:
        """Queue a span; the first one in the order is listed first."""
        number = len(self._span_at)
        self._span_at[span.start] = number
        self._events[number] = deque()
        heapq.heappush(self._waiting, (span.start or b"", number, span))
        self._assign()

    def _assign(self) -> None:
        while self._idle and self._waiting:
            _, number, span = heapq.heappop(self._waiting)
            _send(self._idle.popleft(), {"span": number, **span_to_fields(span)})
        self._hunger[0] = 1 if self._idle else 0

    def _read(self, process: Fork) -> None:
        """Read one lister's lines until it ends; the consumer learns how."""
        try:
            for line in process.stdout:
                with self._changed:
                    self._take(process, json.loads(line))
            how = f"ended with exit code {process.wait()} in the middle of its work"
        except Exception as err:  # noqa: BLE001  else the consumer would wait for ever
            how = f"cannot be followed: {err!r}"
        with self._changed:
            if not self._ending:
                told = f"lister {process.pid} {how}; see its messages above, then"
                self._lose(FatalError(f"{told} resume the run"))
            self._changed.notify_all()

    def _lose(self, error: FatalError | DisorderError) -> None:
        """Remember the first reason why this listing cannot be complete."""
        self._lost = self._lost or error

    def _take(self, process: Fork, event: dict[str, object]) -> None:
        if "offer" in event:
            self._add(span_from_fields(cast("dict[str, object]", event["offer"])))
        elif "fatal" in event:
            self._lose(FatalError(str(event["fatal"])))
        elif "disorder" in event:
            self._lose(DisorderError(str(event["disorder"])))
        else:
            self._events[int(str(event["span"]))].append(event)
        if "end" in event:
            self.decided.update(cast("list[int]", event["decided"]))
            self._idle.append(process)
            self._assign()
        self._changed.notify_all()


def _unreadable(event: dict[str, object]) -> Unreadable:
    reason = event["reason"]
    return Unreadable(
        from_text(event["unreadable"]) or b"",
        int(str(event["errno"])),
        None if reason is None else str(reason),
        left_out=bool(event["left_out"]),
    )


def _send(process: Fork, order: dict[str, object]) -> None:
    try:
        process.stdin.write(json.dumps(order).encode() + b"\n")
    except BrokenPipeError:
        return  # its reader tells how it ended
