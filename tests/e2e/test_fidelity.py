"""What the target can not hold is told entry by entry, and the run goes on."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.place import Place, write
from tests.trees.compare import Aspect, assert_same, differences


@pytest.fixture
def small_blocks(tmp_path: Path) -> Iterator[Path]:
    """Give a file system that holds a kilobyte of attributes a file."""
    if os.geteuid() != 0:
        pytest.skip("only root mounts file systems")
    image, mount = tmp_path / "image", tmp_path / "mount"
    mount.mkdir()
    image.write_bytes(b"")
    os.truncate(image, 16 << 20)
    try:
        subprocess.run(["mkfs.ext4", "-q", "-b", "1024", str(image)], check=True)
        subprocess.run(["mount", "-o", "loop", str(image), str(mount)], check=True)
    except (FileNotFoundError, subprocess.CalledProcessError) as err:
        pytest.skip(f"no ext4 on a loop device here: {err}")
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
