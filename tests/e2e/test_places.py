"""Targets that overlap, or that are inside of their source."""

import os
import shutil
import subprocess
from dataclasses import replace

import pytest
from sqlalchemy import text

from haulage.catalog import datasets
from haulage.run.guards.preflight import root_of
from tests.e2e.place import GUARDED, Place, paths_in, write


def test_neither_of_two_datasets_deletes_what_the_other_has(place: Place) -> None:
    other = replace(place, source=place.root / "other", name="other")
    for name in ("shared", "dir/shared"):
        write(place.source / name)
        write(other.source / name)
    write(place.source / "dir" / "mine")
    place.sync(**GUARDED, share_target=True)
    other.sync(**GUARDED)
    shutil.rmtree(place.source / "dir")
    (place.source / "shared").unlink()
    write(place.source / "left")
    assert place.sync(**GUARDED, share_target=True).deleted == 1
    wanted = {b"shared", b"dir", b"dir/shared", b"left"}
    assert paths_in(place.target) == wanted
    assert other.sync(**GUARDED).exit_code == 0
    assert paths_in(place.target) == wanted


def test_a_target_that_another_dataset_has_is_refused_and_nothing_changes(
    place: Place,
) -> None:
    write(place.source / "file")
    place.sync()
    (place.root / "link").symlink_to(place.target)
    below = place.root / "link" / "below"
    for word in ("plan", "sync"):
        ended = place.haulage(word, place.source, below, "--name", "below")
        assert ended.code == 2
        assert "dataset tree" in ended.text
        assert "--share-target" in ended.text
    assert [row.dataset.name for row in datasets.every(place.catalog())] == ["tree"]
    assert paths_in(place.target) == {b"file"}
    words = ("sync", place.source, below, "--name", "below", "--share-target")
    assert place.haulage(*words).code == 0
    assert place.sync_by_command().code == 0  # one of the two needs the word
    assert paths_in(place.target) == {b"file", b"below", b"below/file"}


def test_what_needs_no_other_target_goes_on_in_one_that_came_to_be_shared(
    place: Place,
) -> None:
    write(place.source / "file")
    write(place.source / "gone")
    place.sync()
    (place.source / "gone").unlink()
    deleted = place.sync(**GUARDED, trash=3600)
    replace(place, name="other").sync(share_target=True)
    with place.catalog().begin() as connection:
        connection.execute(text("UPDATE datasets SET policy = '{}'"))
    assert place.haulage("undo", deleted.run_id).code == 0
    assert place.haulage("verify", "tree").code == 0
    assert place.sync_by_command().code == 2


def test_the_target_is_left_out_of_the_source_by_whatever_name(place: Place) -> None:
    write(place.source / "d" / "file")
    (place.source / "backup").mkdir()
    place.target.mkdir()
    command = ["mount", "--bind", str(place.source / "backup"), str(place.target)]
    subprocess.run(command, check=True)
    try:
        for _ in range(2):
            (note,) = place.sync().notes
            assert note.endswith("the target or Haulage's own: backup/")
        assert paths_in(place.target) == {b"d", b"d/file"}
    finally:
        subprocess.run(["umount", place.target], check=True)


def test_of_the_state_directory_only_what_is_haulages_own_is_left_out(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = place.source / "me"
    monkeypatch.setenv("HAULAGE_HOME", str(home))
    mine = replace(place, catalog_url=f"sqlite:///{place.source}/elsewhere.db")
    write(home / "mine" / "file")
    write(home / "catalog.db.txt")
    write(home / "errors.log")
    os.link(home / "errors.log", place.source / "other-name")
    for _ in range(2):
        assert "left out because they are the target or Haulage's own" in str(
            mine.sync().notes
        )
        names = {b"me", b"me/mine", b"me/mine/file", b"me/catalog.db.txt"}
        assert paths_in(place.target) == names


def test_no_target_is_in_what_is_haulages_own_or_beside_it(place: Place) -> None:
    write(place.source / "file")
    for name in ("", "work", "work/x", "datasets", "prefect/x"):
        ended = place.haulage("sync", place.source, place.home / name, "--make-parents")
        assert ended.code == 2
        assert "own directory" in ended.text
    beside = place.home / "mine"
    words = ("sync", place.source, beside, "--make-parents")
    assert place.haulage(*words).code == 0
    assert paths_in(beside) == {b"file"}


def test_a_target_that_a_rule_leaves_out_may_be_inside_the_source(
    place: Place,
) -> None:
    write(place.source / "file")
    target = place.source / "mnt" / "backup"
    target.parent.mkdir()
    words = ("sync", place.source, target, "--name", "inside")
    assert place.haulage(*words).code == 2
    assert place.haulage(*words, "--exclude", "/mnt/").code == 0
    assert paths_in(target) == {b"file"}


def test_two_slashes_are_one() -> None:
    assert root_of("//data//home/") == "/data/home"
