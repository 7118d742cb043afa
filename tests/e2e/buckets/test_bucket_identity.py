"""A tree goes into a bucket and comes back as it was, or it is said what did not."""

import os
import stat
from pathlib import Path

import pytest

from tests.e2e.buckets.shelf import GUARDED, Route, Shelf
from tests.e2e.place import Place, grow_old, stats_in, write
from tests.mounts import FileSystem, mounted
from tests.trees.build import plant
from tests.trees.compare import Aspect, assert_same, differences, leftovers, shown

_ATTRIBUTES = frozenset({Aspect.MODE, Aspect.UID, Aspect.GID, Aspect.MTIME})


@pytest.fixture(scope="module")
def nasty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return every nasty name in a tree that fills less than a page of a listing."""
    root = tmp_path_factory.mktemp("nasty") / "tree"
    plant(root, seed=8, entries=600, specials=True)
    grow_old()
    return root


def back_from(place: Place, shelf: Shelf) -> Path:
    """Sync the shelf into a new directory."""
    back = place.root / "back"
    Route(place, shelf, back).synced("--name", "back")
    assert leftovers(back) == []
    return back


def test_a_nasty_tree_comes_back_as_it_was_but_for_its_special_files(
    place: Place, nasty: Path, strict_shelf: Shelf
) -> None:
    summary = Route(place, nasty, strict_shelf).synced()
    back = back_from(place, strict_shelf)
    moved = (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK)
    found = stats_in(nasty).items()
    left = [path for path, info in found if stat.S_IFMT(info.st_mode) not in moved]
    assert left
    assert summary["notes"] == [f"{len(left)} special files were left out"]
    assert sorted(differences(nasty, back)) == sorted(
        f"{shown(path)}: missing" for path in left
    )


def test_a_server_that_keeps_keys_as_files_gives_all_back_but_what_directories_are(
    place: Place, plain_tree: Path, rclone_shelf: Shelf
) -> None:
    summary = Route(place, plain_tree, rclone_shelf).synced()
    back = back_from(place, rclone_shelf)
    lines = differences(plain_tree, back)
    found = stats_in(plain_tree)
    dirs = {path for path, info in found.items() if stat.S_ISDIR(info.st_mode)}
    full = {os.path.dirname(path) for path in found}
    allowed = {f"{shown(path)}: missing" for path in dirs - full}
    rest = [line for line in lines if line not in allowed]
    inside = tuple(f"{shown(path)}: " for path in [*dirs, b""])
    assert [line for line in rest if not line.startswith(inside)] == []
    assert {line.rpartition(": ")[2].split()[0] for line in rest} <= set(_ATTRIBUTES)
    assert "entries lost their attributes" in " ".join(summary["notes"])


@pytest.mark.torture
def test_a_path_that_is_too_long_for_a_key_is_reported_and_the_rest_arrives(
    place: Place, moto_shelf: Shelf
) -> None:
    deep = place.source.joinpath(*["d" * 240] * 4)
    write(deep / ("n" * 100))
    write(deep / "short")
    write(place.source / "beside")
    route = Route(place, place.source, moto_shelf)
    ended = route.sync()
    lost = os.fsencode((deep / ("n" * 100)).relative_to(place.source))
    assert ended.code == 1
    assert set(route.reasons()) == {lost}
    size = len(moto_shelf.prefix) + len(lost)
    assert f"{size} bytes; a bucket allows at most 1024" in route.reasons()[lost]
    back = back_from(place, moto_shelf)
    assert differences(place.source, back) == [f"{shown(lost)}: missing"]


def test_a_key_that_the_server_has_no_place_for_is_a_failure_of_its_entry(
    place: Place, moto_shelf: Shelf
) -> None:
    """Moto answers 404 to any key with a newline in it."""
    write(place.source / "line\nbreak")
    (place.source / "link\n").symlink_to("fine")
    (place.source / "dir\n").mkdir()
    write(place.source / "fine")
    route = Route(place, place.source, moto_shelf)
    assert route.sync().code == 1
    assert set(route.reasons()) == {b"line\nbreak", b"link\n", b"dir\n/"}
    assert set(moto_shelf.etags()) == {"", "fine"}


def test_empty_files_and_directories_and_a_whole_bucket_come_back(
    place: Place, any_shelf: Shelf
) -> None:
    whole = Shelf(any_shelf.server, any_shelf.bucket, "")
    write(place.source / "empty", b"")
    write(place.source / "a" / "b" / "c", b"x" * 5000)
    (place.source / "a" / "link").symlink_to("b/c")
    os.chmod(place.source / "a" / "b" / "c", 0o4750)
    os.chown(place.source / "empty", 1234, 4321)
    os.utime(place.source / "a" / "b" / "c", ns=(0, -1_500_000_001))
    Route(place, place.source, whole).synced()
    back = back_from(place, whole)
    for path in ("", "a", "a/b"):  # what a whole bucket or rclone does not keep
        os.utime(back / path, ns=(0, (place.source / path).stat().st_mtime_ns))
    assert_same(place.source, back)


def test_attributes_that_no_object_can_hold_are_told_by_entry(
    place: Place, moto_shelf: Shelf
) -> None:
    for path in ("plain", "attributed", "dir/plain"):
        write(place.source / path)
    os.setxattr(place.source / "attributed", "user.a", b"1")
    os.setxattr(place.source / "dir", "user.b", b"2")
    route = Route(place, place.source, moto_shelf)
    summary = route.synced()
    assert summary["notes"] == ["fidelity: 60.00 %, 2 entries lost an attribute"]
    assert route.reasons() == {
        b"attributed": "attribute 'user.a' not kept: objects have no room for it",
        b"dir/": "attribute 'user.b' not kept: objects have no room for it",
    }


def test_a_loss_is_the_same_share_of_all_entries_in_a_night_that_makes_nothing(
    place: Place, moto_shelf: Shelf
) -> None:
    for path in ("plain", "attributed", "dir/plain"):
        write(place.source / path)
    os.setxattr(place.source / "attributed", "user.a", b"1")
    route = Route(place, place.source, moto_shelf)
    first = route.synced()
    again = route.synced("--compare", "checksum")
    assert (again["copied"], again["updated"], again["made"]) == (0, 0, 0)
    assert first["fidelity"] == again["fidelity"] == 0.8
    assert first["notes"] == again["notes"]
    assert again["notes"] == ["fidelity: 80.00 %, 1 entries lost an attribute"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_what_has_a_time_that_the_target_can_not_hold_is_known_all_the_same(
    place: Place, strict_shelf: Shelf
) -> None:
    far = {"mtime": "32503680000.5", "haulage": "1"}  # the year 3000
    strict_shelf.put("file", Metadata={**far, "mode": "100644"})
    strict_shelf.put("gone", Metadata={**far, "mode": "100644"})
    strict_shelf.put("dir/", b"", Metadata={**far, "mode": "40755"})
    strict_shelf.put("link", b"file", Metadata={**far, "mode": "120777"})
    with mounted(FileSystem.EXT4, place.root) as mount:
        route = Route(place, strict_shelf, mount)
        summary = route.synced()
        assert (summary["copied"], summary["failed"]) == (2, 0)
        lost = {path: told.reason for path, told in place.failures().items()}
        assert lost.keys() == {b"file", b"gone", b"dir/", b"link"}
        assert "mtime 32503680000.500000000 not kept" in lost[b"file"]
        assert place.haulage("verify", place.name).code == 0, place.failures()
        before = (mount / "file").stat()
        strict_shelf.put("file", Metadata={**far, "mode": "100600"})
        strict_shelf.remove("gone")
        summary = route.synced(*GUARDED)
        assert (summary["copied"], summary["deleted"], summary["kept"]) == (0, 1, 0)
        after = (mount / "file").stat()
        assert (after.st_mode & 0o777, after.st_ino) == (0o600, before.st_ino)
        assert route.synced(*GUARDED)["unchanged"] >= 3
