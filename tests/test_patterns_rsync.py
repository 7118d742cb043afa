"""Random rules leave out what rsync leaves out by them, or are refused."""

import os
import random
import subprocess
from pathlib import Path

import pytest

from haulage.config.patterns import Rules
from haulage.errors import RefusedError

NAMES = ("a", "b", "ab", "a1", "a.b", "a b", "a*b", "[a]", "é", "-", "A")
ANY_CHAR = ("?", "*", "**", "***", "[!a]", "[^x-z]", "[[:print:]]", "[]a-c1]", "")
LIKE = {
    "a": ("[ab]", "[a-]", "[[:alpha:]]", r"[\a]", "[![:digit:].]"),
    "1": ("[0-9]", "[[:alnum:]]", "[![:alpha:]]", "[[:xdigit:]_]"),
    "*": (r"\*", "[*]", r"[\*]", "[[:punct:]]", "[!-+]"),
    "[": (r"\[", "[[]", "[[:punct:]]"),
    "]": ("]", "[]]", r"[\]]"),
    "/": ("/", "/", "/", "/**/", "**/", "/*/", "**", "*/", "[/]", "?"),
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a tree whose directories have names of their own in each level."""
    root = tmp_path_factory.mktemp("rules") / "tree"
    chosen = random.Random(4)
    for first in NAMES:
        for second in chosen.sample(NAMES, 4):
            directory = root / first / second
            directory.mkdir(parents=True)
            for third in chosen.sample(NAMES, 4):
                (directory / third).touch()
    for name in NAMES:
        (root / f"{name}b").mkdir(exist_ok=True)
        (root / f"{name}ba").touch()
    return root


def random_rules(chosen: random.Random, paths: list[str]) -> list[str]:
    """Return rules whose patterns are made of paths, most of which they match."""
    return [
        f"{chosen.choice('+--')} {random_pattern(chosen, chosen.choice(paths))}"
        for _ in range(chosen.randint(1, 4))
    ]


def random_pattern(chosen: random.Random, path: str) -> str:
    parts = path.split("/")
    parts = parts[: chosen.randint(1, len(parts))]
    anchored = chosen.random() < 0.3
    text = "/".join(parts if anchored else parts[chosen.randrange(len(parts)) :])
    glob = "".join(
        chosen.choice((*LIKE.get(char, (char,)), *ANY_CHAR))
        if chosen.random() < 0.4
        else char
        for char in text
    )
    head = "/" if anchored else chosen.choice(("", "", "", "**/", "*/", "**"))
    return head + glob + chosen.choice(("", "", "", "/", "/***", "/**", "/*", "***"))


def taken_by_rsync(tree: Path, rules: list[str]) -> set[bytes]:
    options = [f"--filter={rule}" for rule in rules]
    command = ["rsync", "-rn8", "--out-format=%n", *options, f"{tree}/", "/nowhere/"]
    done = subprocess.run(command, capture_output=True, check=True)
    return set(done.stdout.splitlines()) - {b"./", b"created directory /nowhere"}


def taken_by_us(tree: Path, rules: Rules) -> set[bytes]:
    taken = set()
    todo = [b""]
    while todo:
        above = todo.pop()
        for entry in os.scandir(os.fsencode(tree) + b"/" + above):
            is_dir = entry.is_dir(follow_symlinks=False)
            path = above + entry.name + b"/" * is_dir
            if rules.keep(path):
                taken.add(path)
                todo += [path] * is_dir
    return taken


@pytest.mark.parametrize("count", [60, pytest.param(1000, marks=pytest.mark.torture)])
def test_random_rules_take_what_rsync_takes_by_them(tree: Path, count: int) -> None:
    chosen = random.Random(count)
    everything = taken_by_us(tree, Rules([]))
    paths = [os.fsdecode(path).rstrip("/") for path in sorted(everything)]
    compared = told_apart = 0
    while compared < count:
        rules = random_rules(chosen, paths)
        try:
            ours = Rules(rules)
        except RefusedError:
            continue
        theirs = taken_by_rsync(tree, rules)
        assert taken_by_us(tree, ours) == theirs, rules
        compared += 1
        told_apart += set() < theirs < everything
    assert told_apart > count / 2, "most of the rules matter"
