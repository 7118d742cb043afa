"""What is kept of an entry is what was asked for, and a quiet night does nothing."""

import os
import stat
from pathlib import Path

import pytest

from haulage.model import Preserve
from haulage.run.context.runner import Summary
from tests.e2e.place import GUARDED, Place, grow_old, paths_in, stats_in, write
from tests.trees.attributes import acl
from tests.trees.build import plant
from tests.trees.compare import (
    Aspect,
    assert_same,
    differences,
    leftovers,
    rsync_differences,
)

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives away files")
_OWNER = {Aspect.UID, Aspect.GID}
_SPECIAL = (stat.S_ISFIFO, stat.S_ISSOCK, stat.S_ISCHR, stat.S_ISBLK)
# What may differ of an entry where a name is not asked for.
_DIFFERS = {
    Preserve.MODE: {Aspect.MODE},
    Preserve.OWNER: {*_OWNER, Aspect.MODE},  # set-id bits go with the owner
    Preserve.TIMES: {Aspect.MTIME},
    Preserve.XATTRS: {Aspect.XATTRS},
    Preserve.ACLS: {Aspect.XATTRS, Aspect.MODE},
    Preserve.SPARSE: {Aspect.HOLES},
}
_CHOICES = ("", "mode", "owner", "times", "xattrs", "mode,acls", "sparse,times", "all")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a tree of all that can be preserved. Tests only read it."""
    root = tmp_path_factory.mktemp("preserve") / "tree"
    plant(root, seed=9, entries=700, extras=True, specials=True)
    grow_old()
    return root


def names_of(choice: str) -> list[str]:
    return choice.split(",") if choice else []


def acted_on(summary: Summary) -> int:
    counts = (summary.copied, summary.made, summary.updated, summary.deleted)
    return sum(counts) + summary.failed


def specials_in(root: Path) -> set[bytes]:
    found = stats_in(root).items()
    return {path for path, info in found if any(is_(info.st_mode) for is_ in _SPECIAL)}


@needs_root
def test_all_that_a_tree_can_have_is_kept(place: Place, tree: Path) -> None:
    place = place.with_source(tree)
    summary = place.sync(preserve=["all"], movers=2)
    assert (summary.exit_code, summary.notes) == (0, ())
    assert_same(tree, place.target)
    assert rsync_differences(tree, place.target) == []
    assert leftovers(place.target) == []
    assert acted_on(place.sync(preserve=["all"])) == 0


@needs_root
@pytest.mark.parametrize(
    "choice",
    [
        "sparse,times",
        *(
            pytest.param(choice, marks=pytest.mark.torture)
            for choice in _CHOICES
            if choice != "sparse,times"
        ),
    ],
)
def test_only_what_was_asked_for_is_kept_and_the_next_night_is_quiet(
    place: Place, tree: Path, choice: str
) -> None:
    place = place.with_source(tree)
    names = names_of(choice)
    summary = place.sync(preserve=names)
    assert (summary.exit_code, summary.lost) == (0, 0), place.failures()
    missing = set() if choice == "all" else set(Preserve) - set(names)
    allowed = set().union(*(_DIFFERS.get(name, set()) for name in missing))
    left = {path for path in specials_in(tree) if choice != "all"}
    found = [line.rpartition(": ")[2] for line in differences(tree, place.target)]
    assert found.count("missing") == len(left)
    aspects = {Aspect(text.split()[0]) for text in found if text != "missing"}
    assert aspects <= allowed
    assert acted_on(place.sync(preserve=names)) == 0
    ended = place.haulage("verify", place.name, "--json")
    assert (ended.code, ended.summary()["failed"]) == (0, 0), ended.out


@pytest.mark.parametrize(
    "choice",
    [
        *(pytest.param(each, marks=pytest.mark.torture) for each in ("", "times")),
        "all,-times",
    ],
)
def test_changes_and_deletes_find_what_was_made_with_or_without_times(
    place: Place, choice: str
) -> None:
    source, target = place.source, place.target
    for name in ("same", "edited", "touched", "gone", "gone, but changed here"):
        write(source / name)
        os.utime(source / name, ns=(0, 10**18))
    os.symlink("to", source / "link")
    grow_old()
    policy = {"preserve": names_of(choice), **GUARDED}
    assert place.sync(**policy).copied == 5
    write(source / "edited", b"changed")
    os.utime(source / "touched")
    for name in ("gone", "gone, but changed here", "link"):
        os.unlink(source / name)
    os.utime(target / "gone, but changed here", ns=(7, 7))
    os.chmod(source / "same", 0o600)
    summary = place.sync(**policy)
    assert (summary.copied, summary.deleted, summary.kept) == (1, 2, 1)
    assert (target / "edited").read_bytes() == b"changed"
    assert paths_in(target) == {
        b"same", b"edited", b"touched", b"gone, but changed here"
    }  # fmt: skip
    grow_old()
    place.sync(**policy)
    assert acted_on(place.sync(**policy)) == 0


def test_links_are_kept_without_times(place: Place) -> None:
    write(place.source / "one")
    os.utime(place.source / "one", ns=(0, 10**18))
    no_times = frozenset({Aspect.MTIME})
    for name in ("two", "three"):
        os.link(place.source / "one", place.source / name)
        assert place.sync(preserve=["mode", "links"]).failed == 0, place.failures()
        assert differences(place.source, place.target, ignore=no_times) == []


def test_a_file_without_its_mode_is_as_any_new_one(place: Place) -> None:
    write(place.source / "dir" / "file")
    os.chmod(place.source / "dir" / "file", 0o7)
    os.chmod(place.source / "dir", 0o700)
    before = os.umask(0o027)
    try:
        place.sync(preserve=[])
    finally:
        os.umask(before)
    modes = {
        path: info.st_mode & 0o7777 for path, info in stats_in(place.target).items()
    }
    assert modes == {b"dir": 0o750, b"dir/file": 0o640}


@needs_root
def test_neither_umask_nor_what_a_target_hands_on_leaks_into_what_is_made(
    place: Place,
) -> None:
    write(place.source / "dir" / "file")
    write(place.source / "file")
    os.chmod(place.source / "file", 0o664)
    (place.target / "dir").mkdir(parents=True)
    for directory in (place.target, place.target / "dir"):
        os.setxattr(directory, "system.posix_acl_default", acl(0o751, 77))
        os.chown(directory, 0, 12)
        os.chmod(directory, 0o2777)
    before = os.umask(0o077)
    try:
        assert place.sync().failed == 0
    finally:
        os.umask(before)
    assert_same(place.source, place.target)


@needs_root
def test_a_set_id_bit_never_comes_without_its_owner(place: Place) -> None:
    write(place.source / "file")
    os.chown(place.source / "file", 12, 34)
    os.chmod(place.source / "file", 0o6755)
    for _ in range(2):
        place.sync(preserve=["mode"], compare="always")
        found = os.stat(place.target / "file")
        assert (found.st_uid, found.st_mode & 0o7777) == (0, 0o755)


@needs_root
def test_what_is_asked_for_later_is_set_on_all_that_is_there(
    place: Place, tree: Path
) -> None:
    place = place.with_source(tree)
    place.sync(preserve=["mode"])
    summary = place.sync(preserve=["all"])
    assert (summary.copied, summary.failed) == (0, 0), place.failures()
    no_holes = frozenset({Aspect.HOLES})  # they were filled, and stay so
    assert differences(tree, place.target, ignore=no_holes) == []
    assert acted_on(place.sync(preserve=["all"])) == 0


def test_holes_are_filled_where_they_are_not_asked_for(place: Place) -> None:
    write(place.source / "holes", b"begin")
    os.truncate(place.source / "holes", 3 << 20)
    for verify in ("checksum", "none"):
        place.sync(preserve=["times"], verify=verify, compare="always")
        assert os.stat(place.target / "holes").st_blocks * 512 >= 3 << 20
    place.sync(compare="always")
    assert os.stat(place.target / "holes").st_blocks * 512 < 1 << 20


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("modes", "'modes' cannot be preserved; choose from mode, owner"),
        ("all,-x", "'x' cannot be preserved"),
        ("", "'' cannot be preserved"),
        ("acls,times", "acls hold the mode"),
    ],
)
def test_a_choice_that_makes_no_sense_is_refused(
    place: Place, given: str, told: str
) -> None:
    ended = place.sync_by_command(f"--preserve={given}")
    assert ended.code == 2
    assert "--preserve: " in ended.text
    assert told in ended.text
    assert not place.target.exists()


def test_a_bucket_keeps_what_it_keeps(place: Place) -> None:
    ended = place.haulage("sync", place.source, "s3://bucket", "--preserve", "mode")
    assert ended.code == 2
    assert "leave out --preserve" in ended.text


@needs_root
def test_a_choice_on_the_command_line_is_the_dataset_s_from_then_on(
    place: Place,
) -> None:
    write(place.source / "file")
    os.chown(place.source / "file", 12, 34)
    os.mkfifo(place.source / "fifo")
    ended = place.sync_by_command("--preserve", "all,-owner")
    assert ended.code == 0, ended.text
    stored = place.haulage("sync", "--dataset", place.name, "--json")
    assert (stored.code, stored.summary()["updated"]) == (0, 0)
    assert os.stat(place.target / "file").st_uid == 0
    assert stat.S_ISFIFO(os.stat(place.target / "fifo").st_mode)
