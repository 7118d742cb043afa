"""The fence of an attempt whose process its driver cannot see.

The mover renews a lease of its own by renaming its progress file, from one of two names
to the other and back. A rename is answered by the server that has the file, never by a
client's memory of it. Whoever takes the shard away removes the file first: from then on
every renewal fails, so the lease is over at the latest when its whole length has passed
since, by any clock. Only then may another attempt begin.
"""

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from haulage.boottime import now_s
from haulage.errors import CancelledError
from haulage.exchange.progress_file import PROGRESS, names_of

_RENEWALS = 4  # in the time of one lease


class LeasedFence:
    """An attempt's progress file, renamed every few seconds by its mover.

    Nothing may be done for the attempt when the last renewal that succeeded began
    longer than `hold_s` ago. `clock` gives seconds, sleep of the machine included.
    """

    def __init__(
        self, file: Path, hold_s: float, clock: Callable[[], float] = now_s
    ) -> None:
        """Renew for the first time; CancelledError when the file was removed."""
        self._names = names_of(file)
        self._hold_s = hold_s
        self._clock = clock
        self._until_s = -1.0
        self._is_replaced = False
        self._told = (0, 0)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._renew_on, daemon=True)
        self.renew()
        if self._is_replaced:
            raise CancelledError("another attempt has taken this shard over")

    def tell(self, done: int, moved: int) -> None:
        """See Fence; written with the next renewal."""
        self._told = (done, moved)

    def was_replaced(self) -> bool:
        """See Fence; an attempt that could not renew in time counts as replaced."""
        return self._is_replaced or self._clock() >= self._until_s

    def renew(self) -> None:
        """Rename the file, and write the progress; a server may be away for a while."""
        began_s = self._clock()
        for here, there in (self._names, self._names[::-1]):
            try:
                os.rename(here, there)
            except FileNotFoundError:
                continue
            except OSError:  # it does not answer; the lease runs out by itself
                return
            self._until_s = began_s + self._hold_s
            self._write(there)
            return
        self._is_replaced = True

    def _write(self, file: Path) -> None:
        # It must not make the file again that was removed meanwhile.
        with suppress(OSError):
            fd = os.open(file, os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.pwrite(fd, PROGRESS.pack(*self._told), 0)
            finally:
                os.close(fd)

    def _renew_on(self) -> None:
        while not self._is_replaced and not self._ended.wait(self._hold_s / _RENEWALS):
            self.renew()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()
