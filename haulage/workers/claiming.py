"""A mover of a slot: claims the orders of its wave, one after the other."""

import mmap
import os
import signal
import struct
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from haulage.exchange.shard_files import Order
from haulage.exchange.wave_files import Claim, Queue, WaveFiles
from haulage.model import Status
from haulage.workers.mover import STOP, serve

UNFIT = 78  # the exit code of a host that lacks something
_DONE = struct.Struct("<QQ")
_DONE_AT = mmap.PAGESIZE - _DONE.size
_TEXT = struct.Struct("<H")  # length of a claim's name and file in a cell


def _stop(*_signal: object) -> None:
    # A second signal would find the lock of STOP taken, by this very thread.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    STOP.set()


class Cell:
    """Memory that a mover shares with its slot: which claim it has, for a death."""

    def __init__(self) -> None:
        """Begin without a claim."""
        self._shared = mmap.mmap(-1, mmap.PAGESIZE)

    def note(self, claim: Claim, order: Order) -> None:
        """Say what the mover works on, before it touches anything."""
        text = "\0".join((claim.name, claim.mover, str(order.progress))).encode()
        self._shared[_TEXT.size : _TEXT.size + len(text)] = text
        _TEXT.pack_into(self._shared, 0, len(text))

    def clear(self) -> None:
        """Say that the mover has answered."""
        _TEXT.pack_into(self._shared, 0, 0)

    def add(self, entries: int, size: int) -> None:
        """Count what is done."""
        done, moved = self.done
        _DONE.pack_into(self._shared, _DONE_AT, done + entries, moved + size)

    @property
    def done(self) -> tuple[int, int]:
        """Return the entries and the bytes of all orders that are answered."""
        entries, size = _DONE.unpack_from(self._shared, _DONE_AT)
        return entries, size

    def _fields(self) -> list[str]:
        (length,) = _TEXT.unpack_from(self._shared)
        text = self._shared[_TEXT.size : _TEXT.size + length]
        return text.decode().split("\0") if length else []

    @property
    def claim(self) -> Claim | None:
        """Return the claim that is not answered, or None."""
        fields = self._fields()
        return Claim(*fields[:2]) if fields else None

    @property
    def progress(self) -> Path:
        """Return the progress file of that claim."""
        return Path(self._fields()[2])


def move(files: WaveFiles, mover: str, cell: Cell, is_unfit: Callable[[], bool]) -> int:
    """Do orders until there is none, or a signal comes; return an exit code.

    SIGTERM ends the present order as well, which is given back. If an order fails for
    good and this host turns out to lack something, it is given back, too.
    """
    ending = threading.Event()
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for soon in (signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(soon, lambda *_: ending.set())
    parent = os.getppid()
    queue = Queue(files, mover)
    while not (ending.is_set() or STOP.is_set() or os.getppid() != parent):
        taken = queue.take()
        if taken is None:
            return 0
        claim, order = taken
        cell.note(claim, order)
        answer = serve(order, STOP.is_set)
        lacks = "fatal" in answer and is_unfit()
        if lacks:
            answer = {"token": order.token, "cancelled": "given back"}
        cell.add(*_work_in(answer))
        files.answer(claim, answer)
        cell.clear()
        if lacks:
            return UNFIT
    return 0


def _work_in(answer: Mapping[str, Any]) -> tuple[int, int]:
    """Return the entries and the bytes in an answer's tally."""
    tally = answer.get("tally") or {}
    entries = sum(tally.get(status.name.lower(), 0) for status in Status)
    return entries, tally.get("bytes", 0)
