"""What the target can not hold is told entry by entry, and the run goes on."""

import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.place import Place, grow_old, write
from tests.trees.compare import Aspect, assert_same, differences


@pytest.fixture
def small_blocks(tmp_path: Path) -> Iterator[Path]:
    """Give a file system that holds a kilobyte of attributes a file."""
    yield from mounted(tmp_path, 16 << 20, "mkfs.ext4", "-q", "-b", "1024")


@pytest.fixture
def xfs(tmp_path: Path) -> Iterator[Path]:
    """Give an XFS, whose links and device numbers are shorter than others'."""
    yield from mounted(tmp_path, 320 << 20, "mkfs.xfs", "-q")


def mounted(home: Path, size: int, *make: str) -> Iterator[Path]:
    """Make a file system and mount it, until the test has ended."""
    if os.geteuid() != 0:
        pytest.skip("only root mounts file systems")
    image, mount = home / "image", home / "mount"
    mount.mkdir()
    image.write_bytes(b"")
    os.truncate(image, size)
    try:
        subprocess.run([*make, str(image)], check=True)
        subprocess.run(["mount", "-o", "loop", str(image), str(mount)], check=True)
    except (FileNotFoundError, subprocess.CalledProcessError) as err:
        pytest.skip(f"{make[0]} on a loop device does not work here: {err}")
    yield mount
    subprocess.run(["umount", str(mount)], check=True)


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
    subprocess.run(["rmdir", str(small_blocks / "lost+found")], check=True)
    no_xattrs = frozenset({Aspect.XATTRS, Aspect.MTIME})
    assert differences(place.source, small_blocks, ignore=no_xattrs) == []
    again = place.sync()
    assert (again.copied, again.lost) == (0, 0)


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
    assert "block device can not be made here: Invalid" in reasons[b"far device"]
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
