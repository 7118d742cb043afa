"""A sync makes the target equal, moves no byte twice, and says what it could not do."""

import os
import re
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import xxhash

from haulage.model import Verified
from tests.e2e.place import (
    COMMAND,
    GUARDED,
    Place,
    grow_old,
    paths_in,
    stats_in,
    write,
)
from tests.trees import edits
from tests.trees.build import plant, plant_real
from tests.trees.compare import assert_same, differences, leftovers, rsync_differences

MIB = 1 << 20


def assert_exact(place: Place) -> None:
    """Let both judges look, and find nothing left over."""
    assert_same(place.source, place.target)
    assert rsync_differences(place.source, place.target) == []
    assert leftovers(place.target) == []


def files_in(root: Path) -> int:
    return sum(stat.S_ISREG(info.st_mode) for info in stats_in(root).values())


def standing_of(root: Path) -> dict[bytes, tuple[int, int]]:
    """Return what moves with any change of an entry."""
    found = stats_in(root).items()
    return {path: (info.st_ino, info.st_ctime_ns) for path, info in found}


def test_a_nasty_tree_is_copied_exactly(any_place: Place, nasty_tree: Path) -> None:
    place = any_place.with_source(nasty_tree)
    summary = place.sync(movers=2, listers=2, shards={"max_entries": 100})
    assert_exact(place)
    assert (summary.exit_code, summary.failed) == (0, 0)
    assert summary.copied == files_in(nasty_tree)


def test_the_command_copies_a_nasty_tree_exactly(
    any_place: Place, nasty_tree: Path
) -> None:
    place = any_place.with_source(nasty_tree)
    ended = place.sync_by_command()
    assert ended.code == 0, ended.text
    assert_exact(place)


def test_a_real_tree_is_copied_exactly(place: Place) -> None:
    assert plant_real(place.source, limit=2000) > 200
    assert place.sync(movers=2, listers=2).exit_code == 0
    assert_same(place.source, place.target)
    assert leftovers(place.target) == []


def test_a_second_run_copies_nothing_and_changes_nothing(
    place: Place, nasty_tree: Path
) -> None:
    place = place.with_source(nasty_tree)
    place.sync()
    before = standing_of(place.target)
    summary = place.sync()
    assert (summary.copied, summary.made, summary.updated) == (0, 0, 0)
    assert summary.unchanged == summary.listed == len(before) + 1
    assert standing_of(place.target) == before


def test_a_run_without_changes_asks_nothing_of_the_target(
    place: Place, plain_tree: Path
) -> None:
    place = place.with_source(plain_tree)
    assert place.sync_by_command().code == 0
    calls = place.root / "calls"
    command = [
        *("strace", "-f", "-y", "-s", "4096", "-e", "trace=%file,getdents64"),
        *("-o", str(calls), str(COMMAND), "sync", str(place.source)),
        *(str(place.target), "--name", place.name),
    ]
    done = subprocess.run(
        command, env=place.environment(), capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = calls.read_bytes().splitlines()
    root = re.escape(os.fsencode(place.target))
    assert any(re.search(root, line) for line in lines), "the trace shows nothing"
    entry = re.compile(root + rb"/")
    relative = re.compile(rb"<" + root + rb'>, "[^"]')
    touched = [line for line in lines if entry.search(line) or relative.search(line)]
    # By one entry or two it is seen that the target is mounted.
    assert len(touched) <= 2
    assert all(b" newfstatat(" in line for line in touched)


def test_a_file_from_the_future_is_unchanged_like_any_other(place: Place) -> None:
    write(place.source / "future")
    os.utime(place.source / "future", (0, 2**32 + 7))
    grow_old()
    place.sync()
    assert place.manifest()[b"future"]["racy"] is False


def test_changed_attributes_move_no_byte(place: Place, nasty_tree: Path) -> None:
    names = ("chmod", "chown", "touch", "all")
    for name in names:
        write(place.source / name, os.urandom(5000))
    (place.source / "dir").mkdir()
    grow_old()
    place.sync()
    before = stats_in(place.target)
    os.chmod(place.source / "chmod", 0o4711)
    os.chown(place.source / "chown", 1234, 4321)
    os.utime(place.source / "touch", ns=(0, 1_234_567_890_123_456_789))
    os.chmod(place.source / "all", 0o2400)
    os.chown(place.source / "all", 77, 88)
    os.utime(place.source / "all", ns=(0, -5))
    os.chmod(place.source / "dir", 0o1705)
    summary = place.sync()
    assert_exact(place)
    assert (summary.copied, summary.copied_bytes, summary.failed) == (0, 0, 0)
    assert summary.updated >= len(names)
    after = stats_in(place.target)
    assert {path: info.st_ino for path, info in after.items()} == {
        path: info.st_ino for path, info in before.items()
    }


@pytest.mark.parametrize("old", [True, False], ids=["old", "young"])
def test_every_kind_of_edit_is_found(place: Place, old: bool) -> None:
    ways = {
        b"stealthy overwrite": (edits.overwrite, True),
        b"stealthy replace": (edits.replace, True),
        b"overwrite": (edits.overwrite, False),
        b"replace": (edits.replace, False),
    }
    source = os.fsencode(place.source)
    for name in [*ways, b"other"]:
        edits.write_new(os.path.join(source, name), b"A" * 3000)
    if old:
        grow_old()
    place.sync()
    for name, (put, stealthy) in ways.items():
        full = os.path.join(source, name)
        was = os.stat(full)
        put(full, b"A" * 1500 + b"B" + b"A" * 1499)
        if stealthy:
            os.utime(full, ns=(was.st_atime_ns, was.st_mtime_ns))
    summary = place.sync()
    assert_exact(place)
    assert summary.copied == len(ways)


def retype_all(source: Path) -> None:
    """Make a file of each directory, a directory of each file, and so on."""
    edits.remove(os.fsencode(source / "file to dir"))
    write(source / "file to dir" / "inside" / "deep")
    edits.remove(os.fsencode(source / "file to link"))
    (source / "file to link").symlink_to("anywhere")
    edits.remove(os.fsencode(source / "link to file"))
    write(source / "link to file")
    edits.remove(os.fsencode(source / "link to dir"))
    write(source / "link to dir" / "inside")
    for name in ("empty dir to file", "dir to file"):
        edits.remove(os.fsencode(source / name))
        write(source / name)
    for name in ("empty dir to link", "dir to link"):
        edits.remove(os.fsencode(source / name))
        (source / name).symlink_to("dir to file")


def plant_types(source: Path) -> None:
    for name in ("file to dir", "file to link"):
        write(source / name)
    for name in ("link to file", "link to dir"):
        (source / name).symlink_to("nowhere")
    for name in ("empty dir to file", "empty dir to link"):
        (source / name).mkdir()
    for name in ("dir to file", "dir to link"):
        write(source / name / "inside" / "deep")
        write(source / name / "beside")


def test_a_change_of_type_is_done_unless_a_full_directory_is_in_the_way(
    place: Place,
) -> None:
    plant_types(place.source)
    place.sync()
    retype_all(place.source)
    summary = place.sync()
    assert (summary.exit_code, summary.failed) == (1, 2)
    assert set(place.failures()) == {b"dir to file", b"dir to link"}
    assert {failure.status for failure in place.failures().values()} == {"blocked"}
    assert (place.target / "dir to file" / "inside" / "deep").is_file()
    assert (place.target / "dir to link" / "beside").is_file()
    left = {
        line.split(":")[0].split("/")[0]
        for line in differences(place.source, place.target)
    }
    assert left == {"dir to file", "dir to link"}
    assert place.sync(**GUARDED).exit_code == 0
    assert_exact(place)


def test_a_guarded_run_changes_every_type_at_once(any_place: Place) -> None:
    plant_types(any_place.source)
    any_place.sync()
    retype_all(any_place.source)
    summary = any_place.sync(**GUARDED)
    assert (summary.exit_code, summary.failed) == (0, 0), any_place.failures()
    assert_exact(any_place)


def test_the_root_itself_gets_its_attributes(place: Place) -> None:
    write(place.source / "file")
    os.chown(place.source, 12, 34)
    os.chmod(place.source, 0o2751)
    os.utime(place.source, ns=(0, -1))
    place.sync()
    assert_exact(place)
    os.chmod(place.source, 0o700)
    os.utime(place.source, ns=(0, 5))
    place.sync()
    assert_exact(place)


def fill_target(place: Place) -> None:
    """Give the target what a copy by other means, long ago, would have left."""
    plant(place.source, 3, 150)
    for name in ("edited", "same size and mtime", "attributes"):
        write(place.source / name, b"new content")
    subprocess.run(["cp", "-a", place.source, place.target], check=True)
    write(place.target / "edited", b"old")
    moment = os.stat(place.source / "same size and mtime")
    write(place.target / "same size and mtime", b"old content")
    os.utime(
        place.target / "same size and mtime",
        ns=(moment.st_atime_ns, moment.st_mtime_ns),
    )
    os.chmod(place.target / "attributes", 0o123)
    write(place.target / "foreign" / "file")
    write(place.target / "foreign file")


def test_the_first_run_adopts_what_a_filled_target_has(place: Place) -> None:
    fill_target(place)
    grow_old()
    before = stats_in(place.target)
    summary = place.sync()
    assert (summary.exit_code, summary.copied) == (0, 2)
    after = stats_in(place.target)
    moved = {path for path in before if before[path].st_ino != after[path].st_ino}
    files = {path for path in moved if stat.S_ISREG(after[path].st_mode)}
    assert files == {b"edited", b"same size and mtime"}
    foreign = {b"foreign", b"foreign/file", b"foreign file"}
    assert {path.rstrip(b"/") for path in place.manifest()} & foreign == set()
    assert place.sync(**GUARDED).deleted == 0
    assert paths_in(place.target) == paths_in(place.source) | foreign
    for name in ("foreign", "foreign file"):
        edits.remove(os.fsencode(place.target / name))
    subprocess.run(["touch", "-r", place.source, place.target], check=True)
    assert_exact(place)


def test_what_is_excluded_later_stays_in_the_target(place: Place) -> None:
    for name in ("a/keep", "a/drop.tmp", "b/c/drop.tmp", "cache/x/y", "keep"):
        write(place.source / name)
    grow_old()
    place.sync()
    rules = ["- *.tmp", "- /cache/"]
    summary = place.sync(filters={"rules": rules}, **GUARDED)
    assert (summary.deleted, summary.kept, summary.exit_code) == (0, 0, 0)
    assert_exact(place)
    summary = place.sync(**GUARDED)
    assert (summary.copied, summary.unchanged) == (0, summary.listed)


@pytest.mark.parametrize(
    ("filters", "wanted"),
    [
        ({"min_size": "1K"}, {"dir", "large", "old", "read long ago"}),
        ({"max_size": 10}, {"dir", "small", "dir/empty"}),
        ({"max_size": 0}, {"dir", "dir/empty"}),
        ({"min_age": "1d"}, {"dir", "old"}),
        ({"max_age": "1d"}, {"dir", "large", "small", "dir/empty", "read long ago"}),
        ({"min_atime_age": "30d"}, {"dir", "read long ago"}),
        ({"max_atime_age": "30d"}, {"dir", "large", "small", "dir/empty", "old"}),
    ],
)
def test_sizes_and_ages_choose_the_files(
    place: Place, filters: dict[str, object], wanted: set[str]
) -> None:
    for name, size in (("large", 5000), ("old", 1024), ("small", 10)):
        write(place.source / name, b"x" * size)
    write(place.source / "read long ago", b"x" * 2048)
    write(place.source / "dir" / "empty", b"")
    now = os.stat(place.source / "small").st_mtime
    os.utime(place.source / "old", (now, now - 3 * 86_400))
    os.utime(place.source / "read long ago", (now - 60 * 86_400, now))
    place.sync(filters=filters)
    assert paths_in(place.target) == {name.encode() for name in wanted}


@pytest.mark.parametrize(
    ("policy", "proof"),
    [
        ({"verify": "none"}, Verified.NONE),
        ({"verify": "metadata"}, Verified.METADATA),
        ({"verify": "sample", "sample_share": 1}, Verified.CHECKSUM),
        ({"verify": "checksum"}, Verified.CHECKSUM),
    ],
    ids=["none", "metadata", "sample", "checksum"],
)
def test_each_way_to_verify_leaves_its_proof_in_the_manifest(
    place: Place, policy: dict[str, Any], proof: Verified
) -> None:
    plant(place.source, 9, 150)
    write(place.source / "large", os.urandom(3 * MIB))
    summary = place.sync(**policy)
    assert_exact(place)
    entries = place.manifest().values()
    assert {row["verified"] for row in entries if row["kind"] == 1} == {proof}
    assert (summary.verified > 0) is (proof > Verified.NONE)


def test_steps_done_one_by_one_add_up_to_a_whole_run(place: Place) -> None:
    plant(place.source, 4, 150)
    place.sync()
    write(place.source / "new dir" / "new file")
    os.chmod(place.source / "new dir", 0o750)
    gone = next(path for path in sorted(paths_in(place.source)) if path == b"big-1")
    (place.source / os.fsdecode(gone)).unlink()
    summary = place.sync(steps=["copy"], **GUARDED)
    assert (summary.copied, summary.deleted) == (1, 0)
    assert gone in paths_in(place.target)
    summary = place.sync(steps=["delete"], **GUARDED)
    assert (summary.copied, summary.deleted) == (0, 1)
    assert gone not in paths_in(place.target)
    place.sync(steps=["dirs"])
    assert_exact(place)


def test_directories_alone_finish_what_copying_alone_made(place: Place) -> None:
    plant(place.source, 4, 150)
    place.sync(steps=["copy"])
    place.sync(steps=["dirs"])
    assert_exact(place)


@pytest.mark.parametrize("part", ["64K", "300000", "1M"])
def test_a_file_larger_than_a_shard_arrives_in_parts(place: Place, part: str) -> None:
    content = os.urandom(5 * MIB + 1)
    write(place.source / "a" / "large", content)
    write(place.source / "small")
    write(place.source / "z sparse", bytes(3 * MIB))
    summary = place.sync(movers=3, shards={"max_bytes": part})
    assert_exact(place)
    assert (summary.copied, summary.exit_code) == (3, 0)
    entry = place.manifest()[b"a/large"]
    assert entry["checksum"] == xxhash.xxh3_128_digest(content)
    assert entry["verified"] == Verified.CHECKSUM


def test_parts_arrive_without_checksums_too(place: Place) -> None:
    write(place.source / "large", os.urandom(5 * MIB + 1))
    place.sync(movers=3, shards={"max_bytes": "1M"}, verify="none")
    assert_exact(place)


def test_a_slash_at_the_end_of_a_root_changes_nothing(place: Place) -> None:
    write(place.source / "file")
    first = place.haulage("sync", f"{place.source}/", f"{place.target}//", "--json")
    assert first.code == 0, first.text
    assert_exact(place)
    second = place.haulage("sync", place.source, place.target, "--json")
    assert second.summary()["dataset"] == first.summary()["dataset"]
    assert second.summary()["copied"] == 0


def test_a_target_that_was_emptied_is_never_called_unchanged(place: Place) -> None:
    plant(place.source, 8, 100)
    grow_old()
    place.sync()
    shutil.rmtree(place.target)
    ended = place.sync_by_command()
    assert ended.code != 0 or differences(place.source, place.target) == []


def test_comparing_always_makes_all_of_the_target_anew(place: Place) -> None:
    plant(place.source, 8, 100)
    grow_old()
    place.sync()
    kept, *others = sorted(place.target.iterdir())
    for gone in others:
        shutil.rmtree(
            gone
        ) if gone.is_dir() and not gone.is_symlink() else gone.unlink()
    assert kept.name
    summary = place.sync(compare="always")
    assert summary.exit_code == 0
    assert_exact(place)


def test_an_emptied_target_is_filled_anew_when_that_is_asked_for(place: Place) -> None:
    plant(place.source, 8, 100)
    grow_old()
    place.sync()
    shutil.rmtree(place.target)
    place.target.mkdir()
    refused = place.sync_by_command()
    assert refused.code == 2
    assert "--allow-empty-target" in refused.text
    assert place.sync(allow_empty_target=True).exit_code == 0
    assert_exact(place)
