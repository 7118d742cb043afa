"""Of a bucket only what we made, as we left it, and gone at the source is deleted."""

import shutil
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from tests.e2e.buckets.conftest import Shelve
from tests.e2e.buckets.shelf import GUARDED, End, Route, Shelf
from tests.e2e.place import Place, paths_in, stats_in, write
from tests.servers.s3 import S3Server
from tests.trees.compare import differences
from tests.trees.walk import entries_of


@pytest.fixture
def route(place: Place, any_shelf: Shelf) -> Route:
    """Return a synced directory of ten files."""
    for number in range(5):
        write(place.source / f"top-{number}", b"x" * 100)
        write(place.source / "dir" / "sub" / f"in-{number}", b"x" * 100)
    made = Route(place, place.source, any_shelf)
    made.synced()
    return made


def files_in(shelf: Shelf) -> set[str]:
    return {key for key in shelf.etags() if not key.endswith("/") and key}


def test_what_is_gone_is_deleted_from_a_bucket_but_nothing_of_others(
    route: Route,
) -> None:
    source, shelf = route.source, route.target
    assert isinstance(source, Path)
    assert isinstance(shelf, Shelf)
    shelf.put("top-1", b"y" * 100)  # by another, and of the same size
    shelf.put("dir/foreign", b"never ours")
    beside = replace(shelf, prefix="database/")
    beside.put("beside")
    (source / "top-1").unlink()
    (source / "top-2").unlink()
    shutil.rmtree(source / "dir")
    before = files_in(shelf)
    has_markers = "dir/" in shelf.etags()  # some servers cannot hold them
    assert route.synced()["deleted"] == 0
    assert files_in(shelf) == before
    ended = route.sync(*GUARDED)
    assert ended.code == 0, ended.text
    assert files_in(shelf) == {"top-0", "top-1", "top-3", "top-4", "dir/foreign"}
    assert shelf.get("top-1") == b"y" * 100
    assert ended.summary()["kept"] == 1 + has_markers
    assert "changed since we made it" in route.reasons()[b"top-1"]
    assert ("dir/" in shelf.etags()) == has_markers
    assert "dir/sub/" not in shelf.etags()
    assert b"top-2" in route.place.deleted()
    assert beside.get("beside") == b"content"


def test_a_directory_that_is_gone_stays_in_a_bucket_while_anything_is_below_it(
    place: Place, moto_shelf: Shelf
) -> None:
    for path in ("a/ours", "b/ours", "b/debug.log", "c/sub/ours", "stays"):
        write(place.source / path)
    route = Route(place, place.source, moto_shelf)
    route.synced()
    moto_shelf.put("a/foreign")
    moto_shelf.put("c-beside", b"")
    for name in "abc":
        shutil.rmtree(place.source / name)
    summary = route.synced(*GUARDED, "--exclude", "*.log")
    assert (summary["deleted"], summary["kept"]) == (5, 2)
    reason = "has content that we did not make"
    assert route.reasons() == {b"a/": reason, b"b/": reason}
    left = {"", "a/", "a/foreign", "b/", "b/debug.log", "c-beside", "stays"}
    assert set(moto_shelf.etags()) == left
    moto_shelf.remove("a/foreign")
    assert route.synced(*GUARDED, "--exclude", "*.log")["deleted"] == 1
    assert set(moto_shelf.etags()) == left - {"a/", "a/foreign"}


@pytest.fixture(
    params=[
        "directory to bucket",
        pytest.param("bucket to directory", marks=pytest.mark.torture),
        pytest.param("two buckets", marks=pytest.mark.torture),
    ]
)
def ends(
    place: Place, moto_s3: S3Server, shelve: Shelve, request: pytest.FixtureRequest
) -> Route:
    """Return a synced pair of ends of each kind, with a file and six more."""
    first, second = shelve(moto_s3), shelve(moto_s3)
    pairs: dict[str, tuple[End, End]] = {
        "directory to bucket": (place.source, first),
        "bucket to directory": (first, place.root / "back"),
        "two buckets": (first, second),
    }
    made = Route(place, *pairs[request.param])
    for number in range(7):
        put(made.source, f"file-{number}")
    made.synced()
    return made


def put(end: End, name: str) -> None:
    if isinstance(end, Shelf):
        end.put(name)
    else:
        write(end / name)


def drop(end: End, name: str) -> None:
    if isinstance(end, Shelf):
        end.remove(name)
    else:
        (end / name).unlink()


def names_in(end: End) -> set[str]:
    if isinstance(end, Shelf):
        return files_in(end)
    return {path.decode() for path in paths_in(end)}


def test_an_emptied_source_is_refused_and_caps_hold(ends: Route) -> None:
    every = names_in(ends.target)
    assert len(every) == 7
    for number in range(5):
        drop(ends.source, f"file-{number}")
    ended = ends.sync("--delete", "guarded")
    assert ended.code == 0, ended.text
    assert "--max-delete-share 1" in " ".join(ended.summary()["notes"])
    ended = ends.sync("--delete", "guarded", "--max-delete", "3")
    assert "over the cap" in " ".join(ended.summary()["notes"])
    assert names_in(ends.target) == every
    for number in range(5, 7):
        drop(ends.source, f"file-{number}")
    ended = ends.sync(*GUARDED)
    assert ended.code == 2
    assert "--allow-empty-source" in ended.text
    assert names_in(ends.target) == every
    assert ends.sync(*GUARDED, "--allow-empty-source").code == 0
    assert names_in(ends.target) == set()


@pytest.mark.parametrize(
    ("prefix", "found"),
    [("nothere/", "no key begins with nothere/"), ("", "without any object")],
)
def test_a_source_without_any_key_is_refused_as_a_missing_directory_is(
    place: Place, moto_shelf: Shelf, prefix: str, found: str
) -> None:
    if prefix:
        moto_shelf.put("elsewhere")
    missing = replace(moto_shelf, prefix=prefix)
    route = Route(place, missing, place.root / "back")
    for options in ((), ("--dry-run",)):
        ended = route.sync(*options)
        assert ended.code == 2
        assert f"source {missing.url} " in ended.text
        assert found in ended.text
        assert "--allow-empty-source" in ended.text
    assert not (place.root / "back").exists()
    assert route.synced("--allow-empty-source")["made"] == 1


def test_an_empty_directory_that_came_from_a_tree_is_no_missing_source(
    place: Place, moto_shelf: Shelf
) -> None:
    Route(place, place.source, moto_shelf).synced()
    assert set(moto_shelf.etags()) == {""}
    back = place.root / "back"
    Route(place, moto_shelf, back).synced("--name", "back")
    assert entries_of(back) == []


def times_of_files(root: Path) -> dict[bytes, int]:
    return {
        path: found.st_mtime_ns
        for path, found in stats_in(root).items()
        if stat.S_ISREG(found.st_mode)
    }


def test_what_came_from_a_bucket_goes_into_the_trash_and_back(
    place: Place, moto_shelf: Shelf
) -> None:
    keys = ("dir/in", "dir/sub/deep", "top", "stays", ".haulage-trash/never")
    for key in keys:
        moto_shelf.put(key)
    back = place.root / "back"
    route = Route(place, moto_shelf, back)
    route.synced()
    before = times_of_files(back)
    assert set(before) == {key.encode() for key in keys[:4]}
    for key in keys[:3]:
        moto_shelf.remove(key)
    deleted = route.synced(*GUARDED, "--trash", "1d")
    assert deleted["deleted"] == 5
    assert not (back / "dir").exists()
    undone = place.haulage("undo", deleted["run_id"], "--json")
    assert undone.summary()["restored"] == 5, undone.text
    assert times_of_files(back) == before


@pytest.mark.parametrize(
    "name", [pytest.param("moto_s3", marks=pytest.mark.torture), "rclone_s3"]
)
def test_the_first_run_on_a_filled_bucket_copies_only_what_differs(
    place: Place, name: str, shelve: Shelve, request: pytest.FixtureRequest
) -> None:
    shelf = shelve(request.getfixturevalue(name))
    for number in range(6):
        write(place.source / "dir" / f"file-{number}", b"%d" % number * 50)
    Route(place, place.source, shelf).synced("--name", "earlier", "--share-target")
    shelf.put("dir/file-1", b"another size")
    shelf.put("dir/file-2", b"z" * 50)
    shelf.remove("dir/file-3")
    shelf.put("foreign", b"stays")
    route = Route(place, place.source, shelf)
    assert route.synced(*GUARDED)["copied"] == 3
    back = place.root / "back"
    Route(place, shelf, back).synced("--name", "back", "--exclude", "foreign")
    assert [(back / "dir" / f"file-{n}").read_bytes()[:1] for n in range(6)] == [
        b"%d" % number for number in range(6)
    ]
    assert shelf.get("foreign") == b"stays"


@pytest.mark.torture
def test_the_first_run_on_a_filled_directory_copies_only_what_differs(
    place: Place, moto_shelf: Shelf
) -> None:
    for number in range(6):
        write(place.source / f"file-{number}", b"%d" % number * 50)
    Route(place, place.source, moto_shelf).synced("--name", "up")
    back = place.root / "back"
    Route(place, moto_shelf, back).synced("--name", "earlier", "--share-target")
    write(back / "file-1", b"another size")
    write(back / "file-2", b"z" * 50)
    (back / "file-3").unlink()
    write(back / "foreign")
    route = Route(place, moto_shelf, back)
    assert route.synced(*GUARDED)["copied"] == 3
    assert differences(place.source, back) == ["foreign: extra"]


@pytest.mark.torture
def test_the_first_run_between_filled_buckets_copies_only_what_differs(
    place: Place, moto_s3: S3Server, shelve: Shelve
) -> None:
    one, two = shelve(moto_s3), shelve(moto_s3)
    for number in range(6):
        one.put(f"file-{number}", b"%d" % number * 50)
    Route(place, one, two).synced("--name", "earlier", "--share-target")
    two.put("file-1", b"another size")
    two.put("file-2", b"z" * 50)
    two.remove("file-3")
    assert Route(place, one, two).synced(*GUARDED)["copied"] == 3
    assert one.etags() == two.etags()
