"""The pace of a process's requests to one service: retries, and a rate limit.

Backoff has full jitter. A throttling answer to one thread slows all threads that share
the pace, and so do several other failures in one second: the present rate is halved. It
grows back evenly, to twice of what it was, after which it is unlimited.
"""

import math
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from haulage.errors import (
    CancelledError,
    MismatchError,
    TransientError,
    UnstableError,
)

T = TypeVar("T")
Clock = Callable[[], float]

_WINDOW_S = 1.0  # in which a rate is counted, and is halved once at most
_FAILURES = 5  # in one window, that are more than bad luck
_LEAST_RATE = 0.5  # requests a second
_RECOVERY_S = 10.0  # from half of the rate to the whole


class ThrottledError(TransientError):
    """The service asks for fewer requests, or cannot handle as many."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How often and how long one request is retried."""

    tries: int = 10
    budget_s: float = 120.0
    base_s: float = 0.1
    cap_s: float = 20.0

    def pause_s(self, tried: int, share: float) -> float:
        """Return how long to wait after `tried` failures; `share` is of 0 to 1."""
        return share * min(self.cap_s, self.base_s * 2.0**tried)


class Pace:
    """Lets requests go, one after the other; shared by all threads."""

    def __init__(
        self,
        patience: Patience = Patience(),
        *,
        stopping: threading.Event | None = None,
        clock: Clock = time.monotonic,
        wait: Callable[[float], bool] | None = None,
        share: Clock = random.random,
    ) -> None:
        """Start without a limit; `stopping` ends every wait.

        `wait` replaces its wait(), and tells whether it was set meanwhile.
        """
        self._patience = patience
        self._wait = wait or (stopping or threading.Event()).wait
        self._clock = clock
        self._share = share
        self._rate = _Rate(clock())
        self._lock = threading.Lock()

    @property
    def rate(self) -> float:
        """Return the present limit in requests a second; infinity is no limit."""
        return self._rate.bound

    def call(self, request: Callable[[], T], tries: int | None = None) -> T:
        """Return the result of `request`; its TransientErrors are retried.

        `tries` is for a request that may never succeed; throttling, which proves
        nothing about that, does not count.
        """
        tried = failed = 0
        began = self._clock()
        while True:
            self._take_turn()
            try:
                return request()
            except (UnstableError, MismatchError):
                raise  # what to do about another version is not for here
            except TransientError as err:
                throttled = isinstance(err, ThrottledError)
                self._slow_down(throttled=throttled)
                tried += 1
                failed += not throttled
                hopeless = tries is not None and failed >= tries
                self._pause(err, tried, self._clock() - began, hopeless=hopeless)

    def _pause(
        self, err: TransientError, tried: int, spent_s: float, *, hopeless: bool
    ) -> None:
        pause_s = self._patience.pause_s(tried - 1, self._share())
        over = spent_s + pause_s > self._patience.budget_s
        if over or hopeless or tried >= self._patience.tries:
            raise type(err)(f"{err} (tried {tried} times in {spent_s:.1f} s)") from None
        self._rest(pause_s)

    def _take_turn(self) -> None:
        with self._lock:
            wait_s = self._rate.turn(self._clock())
        self._rest(wait_s)

    def _slow_down(self, *, throttled: bool) -> None:
        with self._lock:
            self._rate.fail(self._clock(), throttled=throttled)

    def _rest(self, wait_s: float) -> None:
        if wait_s > 0 and self._wait(wait_s):
            raise CancelledError("stopped while it waited for the object store")


class _Rate:
    """Requests a second, counted and limited; the caller holds a lock."""

    def __init__(self, now: float) -> None:
        self.bound = math.inf
        self._peak = math.inf  # the bound goes when it has grown to this
        self._grown_at = now
        self._halved_at = -math.inf
        self._next_at = now
        self._window_at = now
        self._count = 0
        self._failures = 0
        self._seen = 0.0  # requests a second in the last full window

    def turn(self, now: float) -> float:
        """Return in how many seconds the next request may go."""
        self._count += 1
        if now - self._window_at >= _WINDOW_S:
            self._seen = self._count / (now - self._window_at)
            self._window_at, self._count, self._failures = now, 0, 0
        if self.bound == math.inf:
            return 0.0
        self._grow(now)
        at = max(now, self._next_at)
        self._next_at = at + 1.0 / self.bound
        return at - now

    def fail(self, now: float, *, throttled: bool) -> None:
        """Halve the rate, unless this is a single failure, or it was just halved."""
        self._failures += 1
        if not throttled and self._failures < _FAILURES:
            return
        if now - self._halved_at < _WINDOW_S:
            return
        running = self._count / max(now - self._window_at, 0.1)
        whole = min(self.bound, max(self._seen, running))
        self.bound = max(whole / 2.0, _LEAST_RATE)
        self._peak = 4.0 * self.bound
        self._halved_at = self._grown_at = self._next_at = now

    def _grow(self, now: float) -> None:
        gain = self._peak / 4.0 / _RECOVERY_S
        self.bound += gain * (now - self._grown_at)
        self._grown_at = now
        if self.bound >= self._peak:
            self.bound = math.inf
