"""What the target cannot hold is told entry by entry, and the run goes on."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.place import GUARDED, Place, grow_old, paths_in, write
from tests.mounts import FileSystem, mounted
from tests.trees.compare import Aspect, assert_same, differences


@pytest.fixture
def small_blocks(tmp_path: Path) -> Iterator[Path]:
    """Give a file system that holds a kilobyte of attributes a file."""
    with mounted(FileSystem.EXT4, tmp_path, "-b", "1024", size=16 << 20) as mount:
        yield mount


@pytest.fixture
def whole_seconds(tmp_path: Path) -> Iterator[Path]:
    """Give a file system whose times are whole seconds of 1901 to 2038."""
    with mounted(FileSystem.EXT4, tmp_path, "-I", "128", size=16 << 20) as mount:
        yield mount


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    """Give a file system that has any time."""
    with mounted(FileSystem.TMPFS, tmp_path) as mount:
        yield mount


@pytest.fixture
def xfs(tmp_path: Path) -> Iterator[Path]:
    """Give an XFS, whose links and device numbers are shorter than others'."""
    with mounted(FileSystem.XFS, tmp_path) as mount:
        yield mount


def test_an_attribute_that_does_not_fit_is_lost_and_listed_and_nothing_else_is(
    place: Place, small_blocks: Path
) -> None:
    write(place.source / "big")
    write(place.source / "dir" / "small")
    for path in ("big", "dir"):
        os.setxattr(place.source / path, "user.big", bytes(3000))
    os.setxattr(place.source / "dir" / "small", "user.small", b"1")
    os.symlink(small_blocks, place.target)
    grow_old()  # what was racy is looked at again, and loses again
    summary = place.sync()
    assert summary.exit_code == 0
    assert (summary.lost, summary.fidelity) == (2, 0.5)
    assert "fidelity: 50.00 %, 2 entries lost an attribute" in summary.notes
    lost = place.failures()
    assert {path: loss.status for path, loss in lost.items()} == {
        b"big": "lost",
        b"dir/": "lost",
    }
    assert "'user.big' not kept: No space left" in lost[b"big"].reason
    no_xattrs = frozenset({Aspect.XATTRS, Aspect.MTIME})
    assert differences(place.source, small_blocks, ignore=no_xattrs) == []
    again = place.sync()
    assert (again.copied, again.lost) == (0, 0)


def test_a_time_that_the_target_has_not_is_lost_and_the_entry_known_all_the_same(
    place: Place, whole_seconds: Path, memory: Path
) -> None:
    place = place.with_source(memory)
    write(memory / "kept")
    os.utime(memory / "kept", ns=(0, 10**18))
    for number, time_ns in enumerate((10**18 + 1, -(10**19), 10**20)):
        write(memory / f"file-{number}")
        os.symlink("nowhere", memory / f"link-{number}")
        os.mkfifo(memory / f"fifo-{number}")
        (memory / f"dir-{number}").mkdir()
        for path in memory.glob(f"*-{number}"):
            os.utime(path, ns=(0, time_ns), follow_symlinks=False)
        os.link(memory / f"file-{number}", memory / f"other-{number}")
    os.utime(memory, ns=(0, 10**18))
    os.symlink(whole_seconds, place.target)
    policy = {"preserve": ["all"], **GUARDED}
    summary = place.sync(**policy)
    assert (summary.exit_code, summary.lost) == (0, 4 * 3)
    assert "mtime 10000000000" in place.failures()[b"file-2"].reason
    no_times = frozenset({Aspect.MTIME})
    assert differences(memory, whole_seconds, ignore=no_times) == []
    assert place.haulage("verify", place.name).code == 0
    for path in memory.glob("[flo]*-?"):
        path.unlink()
    assert (place.sync(**policy).deleted, paths_in(whole_seconds)) == (
        12,
        {b"kept", b"dir-0", b"dir-1", b"dir-2"},
    )


def test_what_xfs_can_not_name_is_a_listed_failure_and_the_rest_is_made(
    place: Place, xfs: Path
) -> None:
    source = place.source
    write(source / "file")
    os.symlink("x" * 1023, source / "long link")
    os.symlink("x" * 2000, source / "longer link")
    os.mknod(source / "device", stat.S_IFBLK | 0o600, os.makedev(511, 7))
    os.mknod(source / "far device", stat.S_IFBLK | 0o600, os.makedev(512, 7))
    os.symlink(xfs, place.target)
    summary = place.sync(preserve=["all"])
    assert (summary.exit_code, summary.failed) == (1, 2)
    reasons = {path: told.reason for path, told in place.failures().items()}
    assert "File name too long" in reasons[b"longer link"]
    assert "block device cannot be made here: Invalid" in reasons[b"far device"]
    assert differences(source, xfs) == ["far device: missing", "longer link: missing"]


def test_a_change_of_an_attribute_or_an_acl_alone_is_carried_over(place: Place) -> None:
    source = place.source
    for path in ("file", "dir/file", "link's end"):
        write(source / path)
    os.symlink("link's end", source / "link")
    place.sync()
    os.setxattr(source / "file", "user.a", b"1")
    os.setxattr(source / "dir", "user.b", b"2")
    if os.geteuid() == 0:
        os.setxattr(source / "link", "trusted.c", b"3", follow_symlinks=False)
    summary = place.sync()
    assert (summary.copied, summary.fidelity) == (0, 1.0)
    assert_same(source, place.target)
    assert place.sync().updated == 0


def test_a_terabyte_of_holes_goes_through_a_whole_run(place: Place) -> None:
    write(place.source / "sparse", b"x" * 4096)
    os.truncate(place.source / "sparse", 1 << 40)
    with (place.source / "sparse").open("r+b") as file:
        file.seek(1 << 39)
        file.write(b"island")
    summary = place.sync(shards={"max_bytes": 1 << 38})
    assert summary.exit_code == 0
    assert os.stat(place.target / "sparse").st_size == 1 << 40
    assert os.stat(place.target / "sparse").st_blocks < 100
    with (place.target / "sparse").open("rb") as file:
        file.seek(1 << 39)
        assert file.read(6) == b"island"
    assert place.sync().unchanged > 0
