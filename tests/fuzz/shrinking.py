"""Makes a history that goes wrong as short as it can be and still go wrong."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from tests.fuzz.history import Fate, History, Night

Failing = tuple[History, Sequence[str]]  # and what is wrong at its end
Replay = Callable[[Sequence[History]], list[list[str]]]
_AT_ONCE = 8
_FEWEST = 2  # tries of a history that fails only now and then


def shrunk(
    history: History, wrong: Sequence[str], replay: Replay, patience_s: float
) -> Failing:
    """Return the shortest that was found, with what is wrong at its end."""
    deadline = time.monotonic() + patience_s
    best, kinds = (history, wrong), _kinds(wrong)
    if not patience_s:
        return best
    if not any(_kinds(told) & kinds for told in replay([history] * _FEWEST)):
        return history, ["(not again when it was replayed)", *wrong]
    for candidates in (_fewer_nights, _fewer_lines, _plainer):
        best = _reduced(best, candidates, replay, kinds, deadline)
    return best


def _kinds(wrong: Sequence[str]) -> set[str]:
    return {line.partition(":")[0] for line in wrong}


def _reduced(
    best: Failing,
    candidates: Callable[[History], Iterator[History]],
    replay: Replay,
    kinds: set[str],
    deadline: float,
) -> Failing:
    """Take the first candidate that fails, as long as there is any, and time."""
    goes_on = True
    while goes_on:
        goes_on = False
        every = [each for each in candidates(best[0]) if each != best[0]]
        for start in range(0, len(every), _AT_ONCE):
            if time.monotonic() > deadline:
                return best
            some = every[start : start + _AT_ONCE]
            told = replay(some)
            failing = [
                (history, wrong)
                for history, wrong in zip(some, told, strict=True)
                if _kinds(wrong) & kinds
            ]
            if failing:
                best, goes_on = failing[0], True
                break
    return best


def _fewer_nights(history: History) -> Iterator[History]:
    """Yield the history without a night, and with its day joined to the next one."""
    for number in range(len(history) - 1):
        yield history[:number] + history[number + 1 :]
    for number in range(len(history) - 1):
        later = history[number + 1]
        joined = replace(later, day=history[number].day + later.day)
        yield (*history[:number], joined, *history[number + 2 :])


def _fewer_lines(history: History) -> Iterator[History]:
    """Yield the history without a stretch of lines, long stretches first."""
    longest = max(len(night.day) for night in history)
    size = longest
    while size:
        for number, night in enumerate(history):
            for start in range(0, len(night.day), size):
                if size <= len(night.day):
                    yield _with(
                        history, number, night.without_line(start, start + size)
                    )
        size //= 2


def _plainer(history: History) -> Iterator[History]:
    """Yield the history with a night that has less of what nights may have."""
    for number, night in enumerate(history):
        for words in _options_of(night):
            rest = list(night.options)
            at = rest.index(words[0])
            del rest[at : at + len(words)]
            yield _with(history, number, replace(night, options=tuple(rest)))
        for change in (
            {"guests": ()},
            {"fate": Fate.PEACE},
            {"rested": False},
            {"again": False},
            {"verified": False},
        ):
            yield _with(history, number, replace(night, **change))


def _options_of(night: Night) -> Iterator[tuple[str, ...]]:
    """Yield each option of a night that is not what makes it a full one."""
    words = night.options[6:] if night.is_full else night.options
    for number, word in enumerate(words):
        if word.startswith("-"):
            value = words[number + 1 : number + 2]
            yield (word, *(each for each in value if not each.startswith("-")))


def _with(history: History, number: int, night: Night) -> History:
    return (*history[:number], night, *history[number + 1 :])
