"""A sync makes the target equal, and a second one moves no byte and changes nothing."""

import os
import re
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from haulage.model import Verified
from tests.e2e.exact import assert_exact
from tests.e2e.place import (
    COMMAND,
    GUARDED,
    Place,
    grow_old,
    paths_in,
    stats_in,
    write,
)
from tests.engine_builders import checksum_of
from tests.trees.build import plant, plant_real
from tests.trees.compare import assert_same, leftovers

MIB = 1 << 20


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


def test_a_run_without_changes_asks_little_of_the_target(
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
    # Its mark and a sample of any size of tree tell whether it is that of last night.
    assert len(touched) < len(paths_in(place.target)) / 4
    assert not any(b" getdents64(" in line for line in touched)


def test_a_file_from_the_future_is_unchanged_like_any_other(place: Place) -> None:
    write(place.source / "future")
    os.utime(place.source / "future", (0, 2**32 + 7))
    grow_old()
    place.sync()
    assert place.manifest()[b"future"]["racy"] is False


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


@pytest.mark.parametrize(
    "part", ["64K", pytest.param("33M", marks=pytest.mark.torture)]
)
def test_a_file_larger_than_a_shard_arrives_in_parts(place: Place, part: str) -> None:
    content = os.urandom(50 * MIB + 1)
    write(place.source / "a" / "large", content)
    write(place.source / "small")
    write(place.source / "z sparse", bytes(40 * MIB))
    summary = place.sync(movers=3, shards={"max_bytes": part})
    assert_exact(place)
    assert (summary.copied, summary.exit_code) == (3, 0)
    entry = place.manifest()[b"a/large"]
    assert entry["checksum"] == checksum_of(content)
    assert entry["verified"] == Verified.CHECKSUM


def test_parts_arrive_without_checksums_too(place: Place) -> None:
    write(place.source / "large", os.urandom(40 * MIB + 1))
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
