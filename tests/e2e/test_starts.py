"""What a command starts, and from where: its processes, and the modules they load."""

import subprocess
from pathlib import Path

import pytest

from haulage.catalog.runs.runs import RunState
from tests.e2e.place import Place, write
from tests.trees.walk import entries_of

# What our processes import, and what every Python does.
IMPORTED = ("setproctitle", "numpy", "pyarrow", "haulage", "queue", "json", "random")
STARTS = (
    ["sync", "source", "target", "--name", "tree"],
    ["plan", "source", "target", "--name", "tree"],
    ["verify", "tree"],
    ["manifest", "tree"],
)


def plant_modules(directory: Path, ran: Path) -> None:
    """Put modules there that leave a trace when something imports them."""
    for name in IMPORTED:
        code = f"open({str(ran)!r}, 'a').write({name!r})\nraise SystemExit(3)\n"
        write(directory / f"{name}.py", code.encode())


def test_nothing_is_imported_from_the_current_directory(place: Place) -> None:
    write(place.source / "file")
    plant_modules(place.root, place.root / "ran")  # commands are given there
    for words in STARTS:
        ended = place.haulage_from_start(*words)
        assert ended.code == 0, ended.text
    assert not (place.root / "ran").exists()


@pytest.mark.parametrize(
    "word", ["sync", pytest.param("plan", marks=pytest.mark.torture)]
)
def test_a_run_without_processes_to_move_by_fails_in_words(
    place: Place, word: str
) -> None:
    write(place.source / "file")
    write(place.root / "own" / "setproctitle.py", b"raise SystemExit(3)")
    done = subprocess.run(
        place.command(word, "source", "target", "--name", "tree"),
        env={**place.environment(), "PYTHONPATH": str(place.root / "own")},
        cwd=place.root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "forked ended twice" in done.stderr
    assert "Traceback" not in done.stderr
    if word == "sync":
        assert place.last_run().state is RunState.FAILED
        assert entries_of(place.target) == []
