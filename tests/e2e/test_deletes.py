"""Only what we made, as we left it, and gone at the source is deleted."""

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from haulage.errors import RefusedError
from haulage.run.context.runner import ThreadRunner
from tests.e2e.conftest import give_to_nobody
from tests.e2e.place import (
    GUARDED,
    GUARDED_OPTIONS,
    Before,
    Place,
    grow_old,
    paths_in,
    write,
)
from tests.trees.compare import assert_same


@pytest.fixture
def synced(place: Place) -> Place:
    """Return a place with ten files and two directories in source and target."""
    for number in range(4):
        write(place.source / f"top-{number}", b"x" * 100)
        write(place.source / "dir" / f"in-{number}", b"x" * 100)
    write(place.source / "dir" / "sub" / "deep", b"x" * 100)
    write(place.source / "stays")
    place.sync()
    assert_same(place.source, place.target)
    return place


def drop(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def empty(root: Path) -> None:
    drop(root, *os.listdir(root))


def test_what_is_gone_at_the_source_is_deleted(synced: Place) -> None:
    drop(synced.source, "top-1", "dir")
    summary = synced.sync(**GUARDED)
    assert_same(synced.source, synced.target)
    assert summary.deleted == 8
    assert synced.deleted() == {
        *(b"top-1", b"dir/", b"dir/sub/", b"dir/sub/deep"),
        *(b"dir/in-%d" % number for number in range(4)),
    }


def test_without_delete_nothing_is_deleted(synced: Place) -> None:
    before = paths_in(synced.target)
    drop(synced.source, "top-1", "dir")
    assert synced.sync().exit_code == 0
    assert paths_in(synced.target) == before
    assert synced.sync(**GUARDED).deleted == 8


def test_an_empty_source_is_refused_until_it_is_allowed(synced: Place) -> None:
    before = paths_in(synced.target)
    empty(synced.source)
    ended = synced.sync_by_command(*GUARDED_OPTIONS)
    assert ended.code == 2
    assert str(synced.source) in ended.text
    assert "--allow-empty-source" in ended.text
    assert paths_in(synced.target) == before
    ended = synced.sync_by_command(*GUARDED_OPTIONS, "--allow-empty-source")
    assert ended.code == 0, ended.text
    assert_same(synced.source, synced.target)
    assert paths_in(synced.target) == set()


def test_a_source_that_is_emptied_during_the_run_deletes_nothing(
    synced: Place,
) -> None:
    before = paths_in(synced.target)
    drop(synced.source, "top-1")
    runner = Before("delete", lambda: empty(synced.source))
    with pytest.raises(Exception, match="source is empty"):
        synced.sync(runner, **GUARDED)
    assert paths_in(synced.target) == before
    assert synced.last_run().state == "failed"


def test_a_missing_source_is_refused(synced: Place) -> None:
    before = paths_in(synced.target)
    synced.source.rename(synced.root / "elsewhere")
    with pytest.raises(RefusedError, match=r"source .* does not exist"):
        synced.sync(**GUARDED)
    assert paths_in(synced.target) == before


@pytest.mark.parametrize(
    ("guards", "option"),
    [
        ({"max_count": 7, "max_share": 1}, "--max-delete 8"),
        ({"max_share": 0.6}, "--max-delete-share"),
        ({"max_bytes": 599, "max_share": 1}, "--max-delete-bytes 600"),
        ({"max_count": 0}, "--max-delete 8"),
    ],
    ids=["count", "share", "bytes", "none at all"],
)
def test_over_a_cap_nothing_at_all_is_deleted(
    synced: Place, guards: dict[str, object], option: str
) -> None:
    before = paths_in(synced.target)
    drop(synced.source, "top-1", "dir")
    write(synced.source / "new")
    summary = synced.sync(delete="guarded", guards=guards)
    assert paths_in(synced.target) == before | {b"new"}
    assert summary.deleted == 0
    assert any(option in note for note in summary.notes), summary.notes
    assert (summary.exit_code, summary.waiting_plan) == (0, 1)
    assert synced.deleted() == set()
    assert synced.sync(**GUARDED).deleted == 8
    assert_same(synced.source, synced.target)


@pytest.mark.parametrize(
    "guards",
    [
        {"max_count": 8, "max_share": 1},
        {"max_share": 0.62},
        {"max_bytes": 600, "max_share": 1},
    ],
    ids=["count", "share", "bytes"],
)
def test_just_within_a_cap_all_is_deleted(
    synced: Place, guards: dict[str, object]
) -> None:
    drop(synced.source, "top-1", "dir")
    assert synced.sync(delete="guarded", guards=guards).deleted == 8
    assert_same(synced.source, synced.target)


def test_what_others_made_in_the_target_is_kept(synced: Place) -> None:
    foreign = write(synced.target / "dir" / "sub" / "foreign")
    write(synced.target / "foreign")
    drop(synced.source, "dir", "top-1")
    summary = synced.sync(**GUARDED)
    assert foreign.read_bytes() == b"content"
    assert paths_in(synced.target) == paths_in(synced.source) | {
        *(b"foreign", b"dir", b"dir/sub", b"dir/sub/foreign"),
    }
    assert (summary.deleted, summary.kept) == (6, 2)
    assert set(synced.failures()) == {b"dir/", b"dir/sub/"}


@pytest.mark.parametrize(
    "change",
    [
        "edit",
        *(
            pytest.param(change, marks=pytest.mark.torture)
            for change in ("touch", "replace by link", "retype")
        ),
    ],
)
def test_what_changed_in_the_target_is_kept_and_told(
    synced: Place, change: str
) -> None:
    ours = synced.target / "top-1"
    if change == "edit":
        ours.write_bytes(b"somebody's work")
    elif change == "touch":
        os.utime(ours, ns=(0, 0))
    else:
        ours.unlink()
        ours.mkdir() if change == "retype" else ours.symlink_to("stays")
    was = os.lstat(ours)
    drop(synced.source, "top-1", "top-2")
    summary = synced.sync(**GUARDED)
    now = os.lstat(ours)
    assert (now.st_ino, now.st_mtime_ns) == (was.st_ino, was.st_mtime_ns)
    assert not (synced.target / "top-2").exists()
    assert (summary.deleted, summary.kept) == (1, 1)
    listed = synced.haulage("failures", summary.run_id, "--json").lines()
    assert [(row["path"], row["status"]) for row in listed] == [("top-1", "kept")]
    assert "since we made it" in listed[0]["reason"]


def test_what_came_back_at_the_source_is_kept(synced: Place) -> None:
    drop(synced.source, "top-1", "top-2", "dir")

    def return_some() -> None:
        write(synced.source / "top-1", b"is back")
        write(synced.source / "dir" / "sub" / "deep", b"is back")

    summary = synced.sync(Before("delete", return_some), **GUARDED)
    there = paths_in(synced.target)
    assert {b"top-1", b"dir", b"dir/sub", b"dir/sub/deep"} <= there
    assert b"top-2" not in there
    assert not any(path.startswith(b"dir/in-") for path in there)
    assert summary.kept == 4
    assert synced.sync(**GUARDED).exit_code == 0
    assert_same(synced.source, synced.target)


@pytest.mark.parametrize(
    "moment",
    [pytest.param("before the run", marks=pytest.mark.torture), "before the deletes"],
)
def test_a_link_in_the_target_leads_nothing_outside(synced: Place, moment: str) -> None:
    outside = synced.root / "outside"
    shutil.copytree(synced.target / "dir", outside, copy_function=shutil.copy2)
    shutil.copystat(synced.target / "dir", outside)
    before = paths_in(outside)

    def swap() -> None:
        shutil.rmtree(synced.target / "dir")
        (synced.target / "dir").symlink_to(outside)

    if moment == "before the run":
        swap()
        runner: ThreadRunner = ThreadRunner()
    else:
        runner = Before("delete", swap)
    drop(synced.source, "dir")
    synced.sync(runner, **GUARDED)
    assert paths_in(outside) == before


def test_a_link_at_a_parent_leads_no_copy_outside(synced: Place) -> None:
    outside = synced.root / "outside"
    outside.mkdir()
    shutil.rmtree(synced.target / "dir")
    (synced.target / "dir").symlink_to(outside)
    write(synced.source / "dir" / "in-1", b"edited")
    write(synced.source / "dir" / "sub" / "new", b"new")
    os.chmod(synced.source / "dir" / "in-2", 0o600)
    synced.sync()
    assert paths_in(outside) == set()


def test_what_is_excluded_later_is_not_gone(synced: Place) -> None:
    before = paths_in(synced.target)
    drop(synced.source, "top-1")
    summary = synced.sync(filters={"rules": ["- /dir/sub", "- in-*"]}, **GUARDED)
    assert paths_in(synced.target) == before - {b"top-1"}
    assert summary.deleted == 1


@pytest.mark.parametrize(
    "filters",
    [
        {"max_size": 50},
        {"min_size": 500},
        {"max_size": 500},
        {"min_age": "1h"},
        {"min_atime_age": "1h"},
    ],
    ids=["were too large", "were too small", "grew too large", "mtime", "atime"],
)
def test_what_sizes_and_ages_leave_out_later_is_not_gone(
    synced: Place, filters: dict[str, Any]
) -> None:
    before = paths_in(synced.target)
    for name in ("top-0", "top-1"):
        write(synced.source / name, b"y" * 700)
    for name in ("top-2", "top-3"):
        write(synced.source / name, b"y")
    summary = synced.sync(filters=filters, **GUARDED)
    assert paths_in(synced.target) == before
    assert (summary.deleted, summary.kept) == (0, 0), synced.failures()


def test_nothing_below_an_unreadable_directory_is_deleted(
    nobodys_place: Place,
) -> None:
    place = nobodys_place
    for name in ("shut/in/deep", "shut/gone", "gone", "stays"):
        write(place.source / name)
    give_to_nobody(place.source)
    assert place.sync_by_command().code == 0
    drop(place.source, "shut/gone", "gone")
    os.chmod(place.source / "shut" / "in", 0)
    os.chmod(place.source / "shut", 0o400)  # names can be read, entries cannot
    ended = place.sync_by_command(*GUARDED_OPTIONS)
    assert ended.code == 1, ended.text
    assert {failure.errno for failure in place.failures().values()} == {errno.EACCES}
    assert paths_in(place.target) == {
        *(b"shut", b"shut/in", b"shut/in/deep", b"shut/gone", b"stays"),
    } - ({b"shut/gone"} if b"shut/gone" in place.deleted() else set())


def test_planned_deletes_are_told_and_not_done(synced: Place) -> None:
    before = paths_in(synced.target)
    drop(synced.source, "top-1", "dir")
    summary = synced.sync(delete="plan")
    assert paths_in(synced.target) == before
    assert any("8 entries" in note for note in summary.notes)
    assert (summary.deleted, summary.exit_code) == (0, 0)


def test_the_plan_lists_just_what_is_deleted_then(any_place: Place) -> None:
    place = any_place
    for name in ("a", "b/c", "b/d/e", "b\n", "stays", "cache/x"):
        write(place.source / name)
    grow_old()
    place.sync()
    drop(place.source, "a", "b", "b\n", "cache")
    words = ("--name", place.name, "--exclude", "/cache", "--json", *GUARDED_OPTIONS)
    planned = place.haulage("plan", place.source, place.target, *words)
    assert planned.code == 0, planned.text
    listed = {row["path"] for row in planned.lines() if row.get("verb") == "delete"}
    assert listed == {"a", "b/", "b/c", "b/d/", "b/d/e", "b\\x0a"}
    filters = {"rules": ["- /cache"]}
    assert place.sync(filters=filters, **GUARDED).deleted == len(listed)
    stones = {path.decode().replace("\n", "\\x0a") for path in place.deleted()}
    assert stones == listed


def test_a_plan_touches_nothing(synced: Place) -> None:
    before = {
        path: os.lstat(synced.target / os.fsdecode(path)).st_ctime_ns
        for path in paths_in(synced.target)
    }
    drop(synced.source, "dir")
    write(synced.source / "new")
    ended = synced.sync_by_command("--dry-run", *GUARDED_OPTIONS)
    assert ended.code == 0, ended.text
    verbs = {(row["verb"], row["path"]) for row in ended.lines() if "verb" in row}
    assert ("copy", "new") in verbs
    assert ("delete", "dir/") in verbs
    after = {
        path: os.lstat(synced.target / os.fsdecode(path)).st_ctime_ns
        for path in paths_in(synced.target)
    }
    assert after == before
