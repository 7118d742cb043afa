"""The heartbeat of a driver, by which the catalog and its movers know that it lives."""

import logging
import threading
from collections.abc import Callable

from haulage.boottime import now_s
from haulage.catalog.runs import runs
from haulage.errors import CancelledError, HaulageError, LostRunError, TransientError
from haulage.launch.launcher import STOP, Launcher
from haulage.verbs.attempt.lease import Lease

_POLL_S = 1.0
_ASLEEP_S = 15.0  # what no busy machine keeps a thread waiting for
_BEAT_S = 10.0
_log = logging.getLogger(__name__)


class Heartbeat:
    """Keeps the lease of one run's driver, and ends the run without it."""

    def __init__(self, run_id: str, lease: Lease, launcher: Launcher) -> None:
        """Prepare it; the movers of `launcher` obey `lease`."""
        self._run_id = run_id
        self._lease = lease
        self._launcher = launcher
        self._lost: HaulageError | None = None
        self.ended = threading.Event()

    def beat(self, tell: Callable[[], None]) -> None:
        """Send a heartbeat with `tell`, then let the movers act until the lease ends.

        TransientError and LostRunError are those of `tell`.
        """
        asked_s = now_s()
        tell()
        self._lease.renew(asked_s + runs.HOLD_S)

    def start(self, tell: Callable[[], None]) -> list[threading.Thread]:
        """Start the threads that send heartbeats and that check the clock.

        There are two, because a catalog that hangs must not stop the clock check.
        """
        threads = [
            threading.Thread(target=self._beat_on, args=(tell,), daemon=True),
            threading.Thread(target=self._look_at_clock, daemon=True),
        ]
        for thread in threads:
            thread.start()
        return threads

    def check(self) -> None:
        """Raise if the run must stop: cancelled, taken over, or already ended."""
        while self._waits() and not self.ended.wait(_POLL_S):
            pass  # a machine that has slept says first that it lives
        if self._lost:
            raise self._lost
        if STOP.is_set() or self.ended.is_set():
            raise CancelledError(
                f"run {self._run_id} was stopped; 'haulage resume {self._run_id}' "
                "continues it"
            )

    def _waits(self) -> bool:
        return not self._lost and not STOP.is_set() and self._lease.is_over()

    def _beat_on(self, tell: Callable[[], None]) -> None:
        while not self.ended.wait(_BEAT_S):
            try:
                self.beat(tell)
            except TransientError as err:
                _log.warning("the catalog does not answer, trying again: %s", err)
            except LostRunError as err:
                self._lost = err
                return

    def _look_at_clock(self) -> None:
        """End all movers when others may take this driver for dead.

        No heartbeat was possible while the machine slept; the next one gets some time.
        """
        looked_s = now_s()
        while not self.ended.wait(_POLL_S):
            slept_s = now_s() - looked_s
            if slept_s < _ASLEEP_S:
                looked_s = now_s()
                if self._lease.is_over():
                    self._give_up()
                    return
            elif self.ended.wait(2 * _BEAT_S):
                return
            else:
                looked_s = now_s()

    def _give_up(self) -> None:
        self._lost = LostRunError(
            f"no heartbeat of run {self._run_id} reached the catalog for "
            f"{runs.HOLD_S} s, so another host may take it over; it was stopped: "
            f"'haulage resume {self._run_id}' continues it"
        )
        self._launcher.kill()
