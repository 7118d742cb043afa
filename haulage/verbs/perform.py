"""Performs the rows of a shard: one after the other, or many at once.

Between two directories the kernel does the work and a mover is busy with one entry at a
time. With a bucket it waits for the network, so it has many entries under way.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import NamedTuple

from haulage.errors import (
    BlockedError,
    CancelledError,
    FatalError,
    HaulageError,
    MismatchError,
    PermanentError,
    UnstableError,
    VanishedError,
    sort_os_error,
)
from haulage.model import Action, Kind, Outcome, Status, Verb
from haulage.paths import shown
from haulage.verbs.attempt.attempt import Attempt
from haulage.verbs.check import check
from haulage.verbs.copy import copy
from haulage.verbs.delete import delete, restore
from haulage.verbs.dirs import finish_dir, mkdir
from haulage.verbs.hard_link import hard
from haulage.verbs.link import link
from haulage.verbs.meta import meta
from haulage.verbs.parts import discard, part, publish
from haulage.verbs.replace import replace
from haulage.verbs.special_file import special_file
from haulage.verbs.verify import verify

_STATUS_OF = (
    (UnstableError, Status.UNSTABLE),
    (MismatchError, Status.MISMATCH),
    (VanishedError, Status.VANISHED),
    (BlockedError, Status.BLOCKED),
)
# What is done deepest first, because a directory closes what lies below it.
_IN_ORDER = frozenset({(Verb.DIR, Kind.DIR), (Verb.DELETE, Kind.DIR)})

_LISTED = (
    "the server lists it, and has no object by that key: it may list others under this "
    "name; rename them with another tool"
)
_MAKES = frozenset(
    {
        Verb.COPY,
        Verb.CHECK,
        Verb.LINK,
        Verb.MKDIR,
        Verb.PUBLISH,
        Verb.HARD,
        Verb.SPECIAL,
    }
)
_MADE = frozenset({Status.COPIED, Status.MADE, Status.UPDATED, Status.UNCHANGED})
_TOGETHER = 8  # entries that one thread is given, where there are enough for all

_Do = Callable[..., Outcome]
_VERBS: dict[int, _Do] = {
    Verb.COPY: copy,
    Verb.CHECK: check,
    Verb.META: meta,
    Verb.LINK: link,
    Verb.MKDIR: mkdir,
    Verb.PART: part,
    Verb.PUBLISH: publish,
    Verb.VERIFY: verify,
    Verb.DELETE: delete,
    Verb.DIR: finish_dir,
    Verb.SWEEP: discard,
    Verb.HARD: hard,
    Verb.RESTORE: restore,
    Verb.SPECIAL: special_file,
    Verb.REPLACE: replace,
}


class _Unit(NamedTuple):
    """What is performed at once: a row, or all parts of a file that is published."""

    row: int  # of the last one
    actions: Sequence[Action]


def perform(attempt: Attempt, rows: Sequence[Action]) -> Iterator[Outcome]:
    """Yield one outcome for each action, in order, one after the other."""
    for unit in _units(rows):
        attempt.check_cancelled()
        yield from _outcomes(attempt, unit)


def perform_many(
    attempt: Attempt, rows: Sequence[Action], at_once: int
) -> Iterator[Outcome]:
    """Yield one outcome for each action, in order, with many entries under way.

    What ends the shard for one entry ends it for all, also for large ones under way.
    """
    if any((row.verb, row.kind) in _IN_ORDER for row in rows):
        at_once = 1
    at_a_time = max(1, min(_TOGETHER, len(rows) // (4 * at_once)))
    under_way: deque[Future[list[Outcome]]] = deque()
    with ThreadPoolExecutor(at_once, "entry") as pool:
        try:
            units = _units(rows)
            while some := list(islice(units, at_a_time)):
                attempt.check_cancelled()
                under_way.append(pool.submit(_unless_ended, attempt, some))
                if len(under_way) > 2 * at_once:
                    yield from under_way.popleft().result()
            while under_way:
                yield from under_way.popleft().result()
        except CancelledError as err:
            attempt.end(err)
            raise attempt.ended_by or err from None
        except BaseException as err:
            attempt.end(err)
            raise


def _unless_ended(attempt: Attempt, units: list[_Unit]) -> list[Outcome]:
    outcomes = []
    try:
        for unit in units:
            attempt.check_cancelled()
            outcomes += _outcomes(attempt, unit)
        return outcomes
    except BaseException as err:
        attempt.end(err)
        raise


def _units(rows: Sequence[Action]) -> Iterator[_Unit]:
    first, last = 0, len(rows) - 1
    for row, action in enumerate(rows):
        has_more = (
            action.verb == Verb.PUBLISH
            and row < last
            and rows[row + 1].path == action.path
        )
        if not has_more:
            yield _Unit(row, rows[first : row + 1])
            first = row + 1


def _outcomes(attempt: Attempt, unit: _Unit) -> list[Outcome]:
    """Perform one unit; of a published file the last row says what became of it."""
    action = unit.actions[-1]
    do = _VERBS.get(action.verb)
    if do is None:
        raise FatalError(
            f"verb {action.verb} is not known to this mover; install the same version "
            f"of Haulage everywhere"
        )
    if action.verb == Verb.PUBLISH:
        do = partial(do, parts=unit.actions)
    outcome = _perform(do, attempt, action, unit.row)
    return [*[Outcome(Status.PART)] * (len(unit.actions) - 1), outcome]


def _perform(do: _Do, attempt: Attempt, action: Action, row: int) -> Outcome:
    """Do one action; what only this entry suffers from becomes its outcome."""
    try:
        return _spelt(attempt, action, row, do(attempt, action, row))
    except (CancelledError, FatalError):
        raise
    except VanishedError as err:
        if attempt.source.lists(action.path):
            return _failure(UnstableError(_LISTED), 0)
        return _failure(err, 0)
    except HaulageError as err:
        return _failure(err, 0)
    except OSError as err:
        sorted_error = sort_os_error(err, Verb(action.verb).name.lower())
        if isinstance(sorted_error, FatalError):
            raise FatalError(f"{shown(action.path)}: {sorted_error}") from err
        if why := attempt.target.why_refused(action.path, err):
            sorted_error = PermanentError(why)
        return _failure(sorted_error, err.errno or 0)


def _spelt(attempt: Attempt, action: Action, row: int, outcome: Outcome) -> Outcome:
    """See that the target spells the name of what was made as the source does."""
    if action.verb not in _MAKES or outcome.status not in _MADE or not action.path:
        return outcome
    attempt.target.settle(action.path, row)
    return outcome


def _failure(err: HaulageError, number: int) -> Outcome:
    for kind, status in _STATUS_OF:
        if isinstance(err, kind):
            return Outcome(status, errno=number, reason=str(err))
    return Outcome(Status.FAILED, errno=number, reason=str(err))
