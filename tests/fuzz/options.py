"""Draws the options of a night: those of a full one are always the same."""

import random
from collections.abc import Callable, Sequence

from haulage.model import Preserve

FULL = (
    *("--delete", "guarded", "--max-delete-share", "1"),
    *("--preserve", "all"),
)
FULL_OF_BUCKETS = FULL[:4]
_PATTERNS = (
    *("a*", "/a", "d/", "/d/**", "/d-/*", "k", "?", "a[!a]", "[a-c]", "**/a-", "p/*"),
    *("*.", "/d/a", "n*", "\\*", "/d", "d/d/"),
)
_AGES = ("1h", "1d", "365d", "20y")


def some_options(dice: random.Random, *, buckets: bool = False) -> tuple[str, ...]:
    """Return options of a night that may leave something out or do it otherwise."""
    words: list[str] = []
    for share, draw in _DRAWS:
        if dice.random() < share:
            words += draw(dice)
    if not buckets:
        words += _of_trees(dice)
    return tuple(words)


def work_options(dice: random.Random) -> tuple[str, ...]:
    """Return options that change how a night is done, never what it does."""
    words: list[str] = []
    for option, values in (
        ("--movers", (1, 2, 3)),
        ("--listers", (1, 3)),
        ("--shard-entries", (7, 7, 50, 50, 500)),
        ("--shard-bytes", ("64K", "1M")),
        ("--fsync", ("none", "run", "file")),
    ):
        if dice.random() < 0.4:
            words += [option, str(dice.choice(values))]
    return tuple(words)


def _of_trees(dice: random.Random) -> list[str]:
    words = []
    if dice.random() < 0.6:
        words += ["--preserve", _preserved(dice)]
    if dice.random() < 0.2:
        words += ["--trash", "1d"]
    if dice.random() < 0.1:
        words += ["-x"]
    return words


def _preserved(dice: random.Random) -> str:
    names = [str(name) for name in Preserve]
    some = dice.sample(names, dice.randint(1, 3))
    if "acls" in some and "mode" not in some:
        some.append("mode")
    if dice.random() < 0.5:
        return ",".join(some)
    if "mode" in some:
        some = [*{*some, "acls"}]
    return "all," + ",".join(f"-{name}" for name in sorted(some))


def _rules(dice: random.Random) -> list[str]:
    words: list[str] = []
    for _ in range(dice.randint(0, 2)):
        kind = dice.choice(("--include", "--exclude"))
        words += [kind, dice.choice(_PATTERNS)]
    return [*words, "--exclude", dice.choice(_PATTERNS)]


def _size(dice: random.Random) -> list[str]:
    option = dice.choice(("--min-size", "--max-size"))
    return [option, dice.choice(("1", "10", "5000", "64K"))]


def _age(dice: random.Random) -> list[str]:
    return [dice.choice(("--min-age", "--max-age")), dice.choice(_AGES)]


def _delete(dice: random.Random) -> list[str]:
    words = ["--delete", dice.choice(("off", "plan", "guarded", "guarded"))]
    words += ["--max-delete-share", dice.choice(("1", "1", "0.5", "0.1"))]
    if dice.random() < 0.3:
        words += dice.choice(
            (["--max-delete", "0"], ["--max-delete", "2"], ["--max-delete-bytes", "9"])
        )
    return words


def _only(dice: random.Random) -> list[str]:
    steps = dice.sample(("copy", "delete", "dirs"), dice.randint(1, 2))
    return [word for step in steps for word in ("--only", step)]


def _choice_of(option: str, *values: str) -> Callable[[random.Random], Sequence[str]]:
    return lambda dice: [option, dice.choice(values)]


_DRAWS: tuple[tuple[float, Callable[[random.Random], Sequence[str]]], ...] = (
    (0.3, _rules),
    (0.15, _size),
    (0.15, _age),
    (0.7, _delete),
    (0.25, _only),
    (0.4, _choice_of("--compare", "metadata", "size", "checksum", "always")),
    (0.4, _choice_of("--verify", "none", "metadata", "checksum", "sample")),
    (1.0, work_options),
)
