"""What a proxy does to the requests that pass it, and what it has seen of them."""

import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Answer:
    """An error document of S3, without a code an empty one, instead of the server's
    answer; if `carried_out`, the server has done the request all the same."""

    status: int
    code: str
    carried_out: bool = False


@dataclass(frozen=True)
class Reset:
    """A connection reset instead of an answer; if `carried_out`, the server has done
    the request all the same."""

    carried_out: bool = False


@dataclass(frozen=True)
class Cut:
    """An answer whose body ends after `keep_bytes`; it promised its full length, or,
    `in_chunks`, another chunk."""

    keep_bytes: int
    in_chunks: bool = False


@dataclass(frozen=True)
class FlipAnswer:
    """An answer with one bit of its body's byte `at` flipped."""

    at: int = 0


@dataclass(frozen=True)
class FlipRequest:
    """A request with one bit of its body's byte `at` flipped before the server."""

    at: int = 0


@dataclass(frozen=True)
class Delay:
    """A request that reaches the server `seconds` late; others do not wait for it."""

    seconds: float


Fault = Answer | Reset | Cut | FlipAnswer | FlipRequest

SLOW_DOWN = Answer(503, "SlowDown")
INTERNAL_ERROR = Answer(500, "InternalError")
TOO_MANY_REQUESTS = Answer(429, "TooManyRequests")
EXPIRED_TOKEN = Answer(400, "ExpiredToken")
ACCESS_DENIED = Answer(403, "AccessDenied")
CLOCK_SKEWED = Answer(403, "RequestTimeTooSkewed")
ERROR_IN_SUCCESS = Answer(200, "InternalError")  # CopyObject and Complete... do that
RESET = Reset()
LOST_ANSWER = Reset(carried_out=True)


@dataclass(frozen=True)
class Rule:
    """Which requests meet a fault: of those with this `method` (any, if empty) in
    whose path and query the regular expression `target` is found, the first `after`
    pass and the next `times` are struck (all, if None)."""

    fault: Fault | Delay
    method: str = ""
    target: str = ""
    after: int = 0
    times: int | None = 1

    def covers(self, method: str, target: str) -> bool:
        """Tell whether such a request is counted."""
        return _fits(self.method, self.target, method, target)


@dataclass(frozen=True)
class Seen:
    """A request that came by, and the status that the client got, 0 if none.

    `field` gives what its head says, in small letters.
    """

    method: str
    path: str
    query: str
    status: int
    field: Callable[[str], str] = field(default=lambda _: "", repr=False, compare=False)

    @property
    def target(self) -> str:
        """Return path and query as they were sent."""
        return f"{self.path}?{self.query}" if self.query else self.path


class Ledger:
    """The rules in force, and the requests so far; any thread may use it."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._lock = threading.Lock()
        self._rules = list(rules)
        self._counts = [0] * len(rules)
        self._seen: list[Seen] = []

    def add(self, *rules: Rule) -> None:
        """Put more rules behind those in force."""
        with self._lock:
            self._rules += rules
            self._counts += [0] * len(rules)

    def meet(self, method: str, target: str) -> tuple[float, Fault | None]:
        """Return by how many seconds a request is late, and which fault strikes it.

        All delays add up. Of the other rules the first that strikes takes the request,
        and those behind do not count it.
        """
        delay_s, fault = 0.0, None
        with self._lock:
            for i, rule in enumerate(self._rules):
                if isinstance(rule.fault, Delay):
                    delay_s += (
                        rule.fault.seconds if self._hits(i, method, target) else 0
                    )
                elif fault is None and self._hits(i, method, target):
                    fault = rule.fault
        return delay_s, fault

    def note(self, seen: Seen) -> None:
        """Remember a request, before its client can know how it ended."""
        with self._lock:
            self._seen.append(seen)

    def seen(self, method: str = "", target: str = "") -> list[Seen]:
        """Return the requests of a method (any, if empty) in whose path and query the
        regular expression `target` is found."""
        with self._lock:
            return [s for s in self._seen if _fits(method, target, s.method, s.target)]

    def _hits(self, i: int, method: str, target: str) -> bool:
        rule = self._rules[i]
        if not rule.covers(method, target):
            return False
        self._counts[i] += 1
        beyond = self._counts[i] - rule.after
        return beyond > 0 and (rule.times is None or beyond <= rule.times)


def _fits(wanted: str, pattern: str, method: str, target: str) -> bool:
    return wanted in ("", method) and re.search(pattern, target) is not None
