"""`d` and `d/` are one name: what takes it leaves nothing known of what had it."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.place import GUARDED, Place, grow_old, write
from tests.trees.compare import assert_same

OVER_A_CAP: dict[str, Any] = {"delete": "guarded", "guards": {"max_count": 0}}
Make = Callable[[Path], object]


def a_file(path: Path) -> None:
    write(path, b"x" * 100)


def a_directory(path: Path) -> None:
    path.mkdir(0o700, parents=True)


def a_full_directory(path: Path) -> None:
    write(path / "inside")


def a_link(path: Path) -> None:
    path.symlink_to("nowhere")


def two_names(path: Path) -> None:
    a_file(path)
    path.with_name("other").hardlink_to(path)


CHANGES: list[tuple[Make, Make]] = [
    (a_file, a_directory),
    (a_file, a_full_directory),
    (a_link, a_directory),
    (two_names, a_full_directory),
    (a_directory, a_file),
    (a_directory, a_link),
    (a_directory, two_names),
]


@pytest.mark.parametrize(
    ("night", "back"),
    [
        (OVER_A_CAP, {}),
        *(
            pytest.param(night, back, marks=pytest.mark.torture)
            for night, back in (
                ({"filters": {"max_size": 10}}, {}),
                ({}, {}),
                ({}, GUARDED),
                ({"delete": "plan"}, GUARDED),
                ({"steps": ["copy"]}, GUARDED),
                (GUARDED, GUARDED),
            )
        ),
    ],
)
def test_what_comes_back_after_another_kind_had_its_name_is_made_again(
    place: Place, night: dict[str, Any], back: dict[str, Any]
) -> None:
    home, away = place.source / "p", place.root / "away"
    for number, (first, _) in enumerate(CHANGES):
        (home / f"{number}").mkdir(parents=True)
        first(home / f"{number}" / "d")
    grow_old()
    assert place.sync().failed == 0
    home.rename(away)
    for number, (_, second) in enumerate(CHANGES):
        for name in ("d!", "d-", "d.x"):
            write(home / f"{number}" / name)
        second(home / f"{number}" / "d")
    assert place.sync(**night).failed == 0
    shutil.rmtree(home)
    away.rename(home)
    place.sync(**back)
    assert place.sync(**GUARDED).failed == 0
    assert_same(place.source, place.target)


def test_a_kind_that_took_a_name_is_proven_and_nothing_else(place: Place) -> None:
    a_file(place.source / "d")
    place.sync()
    (place.source / "d").unlink()
    a_directory(place.source / "d")
    place.sync()
    assert place.manifest().keys() == {b"", b"d/"}
    assert place.haulage("verify", place.name).code == 0
