"""Somebody else who is at work in a tree for as long as a test wants it."""

import ctypes
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

_RENAMEAT2 = 316  # on x86-64
_AT_FDCWD = -100
_EXCHANGE = 2
_PAUSE_S = 0.0005  # others want the processor, too
_libc = ctypes.CDLL(None, use_errno=True)


def exchange(one: Path, other: Path) -> None:
    """Let two names change places, at once."""
    paths = os.fsencode(one), os.fsencode(other)
    args = (_AT_FDCWD, paths[0], _AT_FDCWD, paths[1], _EXCHANGE)
    if _libc.syscall(_RENAMEAT2, *args) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(one))


@contextmanager
def meddler(meddle: Callable[[int], None]) -> Iterator[list[int]]:
    """Call `meddle` with 0, 1, 2, ... from a thread; what it raises ends the test.

    The list that is given has one item, how often it was called.
    """
    stop, times = threading.Event(), [0]

    def work() -> None:
        while not stop.is_set():
            meddle(times[0])
            times[0] += 1
            stop.wait(_PAUSE_S)

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(work)
        try:
            yield times
        finally:
            stop.set()
        done.result()
