"""What nights of some steps or kinds, or nights that failed, left undone is done."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.place import GUARDED, Before, Place, grow_old, write
from tests.trees.compare import assert_same

LONG_AGO = 981_173_106
ALL: dict[str, Any] = {"preserve": ["all"]}
NARROW: dict[str, Any] = {"preserve": ["mode", "times"]}
NODES: dict[str, Any] = {"preserve": ["times", "specials", "devices"]}

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


@pytest.fixture
def dressed(place: Place) -> Place:
    """Return a place whose source has attributes of every kind, all of them old."""
    for name in ("f", "d/f", "e/gone", "q/r/f"):
        write(place.source / name)
    os.mkfifo(place.source / "pipe", 0o600)
    for path in place.source.rglob("*"):
        os.chown(path, 7, 8)
    os.setxattr(place.source / "d", "user.note", b"mine")
    (place.source / "q").chmod(0o750)
    _age(place.source)
    return place


def _age(root: Path) -> None:
    for path in (*root.rglob("*"), root):
        os.utime(path, (LONG_AGO, LONG_AGO))
    grow_old()


def edit(source: Path) -> None:
    """Change a file in place, and remove another, in directories that look the same."""
    (source / "d" / "f").write_bytes(b"something else")
    (source / "e" / "gone").unlink()
    _age(source)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([NARROW, ALL | {"steps": ["copy"]}], []),
        pytest.param([NARROW | {"steps": ["dirs"]}], [], marks=pytest.mark.torture),
        pytest.param([NODES, {}], [], marks=pytest.mark.torture),
        pytest.param([ALL], [ALL | {"steps": ["copy"]}], marks=pytest.mark.torture),
        ([ALL], [ALL | GUARDED | {"steps": ["delete"]}]),
    ],
    ids=["copy", "dirs", "kinds", "edited", "deleted"],
)
def test_what_partial_nights_left_out_is_given_by_the_next_full_one(
    dressed: Place, before: list[dict[str, Any]], after: list[dict[str, Any]]
) -> None:
    for night in before:
        dressed.sync(**night)
    if after:
        edit(dressed.source)
    for night in after:
        dressed.sync(**night)
    dressed.sync(**ALL, **GUARDED)
    assert_same(dressed.source, dressed.target)
    assert dressed.sync(**ALL, **GUARDED).updated == 0


def test_what_only_copy_made_is_ours_and_goes_when_it_is_gone(dressed: Place) -> None:
    dressed.sync(**ALL, steps=["copy"])
    assert dressed.haulage("verify", dressed.name).code == 0
    (dressed.source / "q" / "r" / "f").unlink()
    for name in ("q/r", "q"):
        (dressed.source / name).rmdir()
    assert dressed.sync(**ALL, **GUARDED).deleted == 3
    assert_same(dressed.source, dressed.target)


def test_a_directory_that_could_not_be_finished_is_finished_by_the_next_night(
    dressed: Place,
) -> None:
    dressed.sync(**ALL)
    edit(dressed.source)
    locked = dressed.target / "d"

    def lock() -> None:
        if subprocess.run(["chattr", "+i", locked], check=False).returncode:
            pytest.skip("nothing can be made immutable here")

    try:
        assert dressed.sync(Before("directories", lock), **ALL).failed == 1
    finally:
        subprocess.run(["chattr", "-i", locked], check=False)
    assert dressed.sync(**ALL, **GUARDED).failed == 0
    assert_same(dressed.source, dressed.target)


def test_a_plan_counts_what_changes_its_kind_as_the_run_does(dressed: Place) -> None:
    dressed.sync(**ALL)
    (dressed.source / "pipe").unlink()
    (dressed.source / "pipe").mkdir()
    (dressed.source / "e" / "gone").unlink()
    words = ("--preserve", "all", "--delete", "guarded", "--max-delete-share", "1")
    plan = dressed.haulage(
        "plan", dressed.source, dressed.target, "--name", dressed.name, *words
    )
    assert b"would delete 2 entries" in plan.out, plan.out
    assert dressed.sync(**ALL, **GUARDED).deleted == 2
