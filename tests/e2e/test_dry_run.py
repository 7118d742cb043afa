"""A dry run writes nothing anywhere, and says what the run then does."""

import os
from pathlib import Path

import pytest

from haulage.catalog.runs import runs
from tests.e2e.place import GUARDED_OPTIONS, Ended, Place, grow_old, stats_in, write


def everything_in(root: Path) -> dict[bytes, tuple[int, int]]:
    """Return what there is below `root`, with inode and time of change of each."""
    return {path: (at.st_ino, at.st_ctime_ns) for path, at in stats_in(root).items()}


def planned(ended: Ended) -> set[tuple[str, str]]:
    """Return what a dry run would do."""
    return {(row["verb"], row["path"]) for row in ended.lines() if "verb" in row}


@pytest.mark.parametrize(
    "words",
    [
        ("--dry-run",),
        pytest.param(("--dry-run", "--only", "dirs"), marks=pytest.mark.torture),
    ],
)
def test_a_dry_run_without_a_catalog_leaves_nothing_behind(
    place: Place, words: tuple[str, ...]
) -> None:
    write(place.source / "a" / "file")
    place.home.rmdir()
    before = everything_in(place.root)
    ended = place.sync_by_command(*words)
    assert ended.code == 0, ended.text
    assert ("mkdir", "a/") in planned(ended)
    assert everything_in(place.root) == before


def test_a_dry_run_of_a_known_dataset_leaves_no_word_in_the_catalog(
    any_place: Place,
) -> None:
    write(any_place.source / "file")
    any_place.sync()
    write(any_place.source / "new")
    target, home = everything_in(any_place.target), everything_in(any_place.home)
    ended = any_place.sync_by_command("--dry-run", "--exclude", "file")
    assert planned(ended) == {("copy", "new"), ("mkdir", ".")}
    assert everything_in(any_place.target) == target
    assert everything_in(any_place.home) == home
    catalog = any_place.catalog()
    assert len(runs.recent(catalog, None, 9)) == 1
    assert any_place.last_run().policy.filters.rules == ()


def test_a_dataset_that_no_catalog_has_is_refused_by_the_catalog_s_own_name(
    place: Place,
) -> None:
    ended = place.haulage("plan", "--dataset", "absent")
    assert ended.code == 2
    assert place.catalog_url.rpartition("/")[2] in ended.text
    assert not (place.root / "catalog.db").exists()


@pytest.mark.parametrize(
    "steps",
    [
        *(
            pytest.param((step,), marks=pytest.mark.torture)
            for step in ("copy", "delete")
        ),
        ("copy", "delete"),
    ],
)
def test_a_dry_run_of_some_steps_says_what_these_do(
    place: Place, steps: tuple[str, ...]
) -> None:
    for name in ("gone", "kept", "dir/edited", "linked"):
        write(place.source / name)
    os.link(place.source / "linked", place.source / "also")
    grow_old()
    place.sync()
    (place.source / "gone").unlink()
    write(place.source / "new")
    write(place.source / "dir" / "edited", b"by another length")
    write(place.source / "linked", b"by another length")
    words = [word for step in steps for word in ("--only", step)]
    told = place.sync_by_command("--dry-run", *words, *GUARDED_OPTIONS)
    did = place.sync_by_command(*words, *GUARDED_OPTIONS).summary()
    verbs = planned(told)
    copies = {path for verb, path in verbs if verb == "copy"}
    assert len(copies) == did["copied"]
    assert copies >= {"new", "dir/edited"} or "copy" not in steps
    deletes = {path for verb, path in verbs if verb == "delete"}
    assert (len(deletes), deletes) == (
        did["deleted"],
        {"gone"} if "delete" in steps else set(),
    )
    assert any("would delete" in note for note in told.summary()["notes"]) == (
        "delete" in steps
    )


def test_a_dry_run_of_the_step_dirs_names_every_directory(place: Place) -> None:
    write(place.source / "a" / "b" / "file")
    place.sync()
    ended = place.sync_by_command("--dry-run", "--only", "dirs")
    assert planned(ended) == {("dir", "."), ("dir", "a/"), ("dir", "a/b/")}
