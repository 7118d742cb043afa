"""What goes wrong is shrunk to what it needs, and the script of it stands alone."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.e2e.place import COMMAND
from tests.fuzz.history import Fate, History, Night
from tests.fuzz.options import FULL
from tests.fuzz.script import script
from tests.fuzz.shrinking import shrunk

PARTIAL = ("--only", "copy", "--min-size", "10", "--movers", "3", "-x")
WRONG = ["differs: a", "rsync: a"]


def needs_two_lines_and_an_option(histories: Sequence[History]) -> list[list[str]]:
    """Stand for nights that go wrong by `cause`, then by an option and `effect`."""
    return [_told(history) for history in histories]


def _told(history: History) -> list[str]:
    lines = [line for night in history for line in night.day]
    options = [word for night in history[:-1] for word in night.options]
    fails = {"cause", "effect"} <= set(lines) and "--min-size" in options
    return WRONG[:1] if fails else ["plan: something else"]


def test_only_what_is_needed_is_left_of_a_history() -> None:
    history = (
        Night(("a", "b"), PARTIAL, is_full=False),
        Night(("c", "cause", "d"), PARTIAL, is_full=False, fate=Fate.RESUMED),
        Night(("e",), PARTIAL, is_full=False, guests=(b"d",)),
        Night(("f", "effect"), FULL + PARTIAL[4:6], is_full=True, again=True),
    )
    replay = needs_two_lines_and_an_option
    found, wrong = shrunk(history, WRONG, replay, 60.0)
    assert wrong == WRONG[:1]
    assert [night.day for night in found] == [("cause",), ("effect",)]
    assert [night.options for night in found] == [("--min-size", "10"), FULL]
    assert not any(night.guests or night.again or night.rested for night in found)
    assert all(night.fate is Fate.PEACE for night in found)


def test_what_does_not_fail_again_is_left_as_it_was() -> None:
    history = (Night(("a",), FULL, is_full=True),)
    found, wrong = shrunk(history, WRONG, needs_two_lines_and_an_option, 60.0)
    assert found == history
    assert wrong[1:] == WRONG


def test_a_script_does_what_its_history_says(tmp_path: Path) -> None:
    first = Night(("printf 1 > ./a", "mkfifo ./p"), PARTIAL[:2], is_full=False)
    last = Night(("rm ./a", "printf 2 > $'./b\\x0a'"), FULL, is_full=True)
    done = subprocess.run(
        ["bash"],
        input=script((first, last), ["differs: two\nlines"]).encode(),
        env={**os.environ, "HAULAGE": str(COMMAND), "CASE_DIR": str(tmp_path)},
        capture_output=True,
        check=True,
    )
    (place,) = tmp_path.iterdir()
    names = {"b\n", "p", "keeper"}
    assert {path.name for path in (place / "target").iterdir()} >= names
    assert not (place / "target" / "a").exists()
    assert done.stdout.count(b"sync: exit code 0") == 2
    assert done.stderr == b""
    assert b"target/" not in done.stdout.splitlines()[-1]  # rsync has nothing to say
