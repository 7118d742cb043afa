"""What is below a mount point that is away for a night is not gone."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.place import GUARDED, Place, paths_in, write
from tests.mounts import FileSystem, mounted


@pytest.fixture
def synced(place: Place) -> Iterator[Place]:
    """Return a place with a file system at `tmpfs/` of the source, synced."""
    with mounted(FileSystem.TMPFS, place.source):
        for name in ("tmpfs/in/file", "tmpfs/one", "tmpfs/two", "a", "z"):
            write(place.source / name)
        assert place.sync().exit_code == 0
        yield place
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", mount_of(place)], check=True)


def mount_of(place: Place) -> Path:
    return place.source / "tmpfs"


def unmount(place: Place) -> None:
    subprocess.run(["umount", mount_of(place)], check=True)


@pytest.mark.parametrize(
    "stray", [pytest.param(False, marks=pytest.mark.torture), True]
)
def test_what_is_below_a_mount_point_that_is_away_stays_every_night(
    synced: Place, stray: bool
) -> None:
    before = paths_in(synced.target)
    unmount(synced)
    if stray:  # in the way of the mount, where nobody sees it on other nights
        write(mount_of(synced) / "of the mount point")
    (synced.source / "a").unlink()
    for deleted in (1, 0):
        summary = synced.sync(**GUARDED)
        assert (summary.exit_code, summary.deleted) == (1, deleted)
        failure = synced.failures()[b"tmpfs/"]
        assert "was another file system and no longer is" in failure.reason
    assert paths_in(synced.target) == before - {b"a"}


def test_what_was_moved_off_a_file_system_is_deleted_as_anything_else(
    synced: Place,
) -> None:
    kept = synced.root / "kept"
    shutil.copytree(mount_of(synced), kept)
    unmount(synced)
    (kept / "one").rename(mount_of(synced) / "one")
    summary = synced.sync(**GUARDED)
    assert (summary.exit_code, summary.deleted) == (0, 3)
    assert paths_in(synced.target) == {b"a", b"z", b"tmpfs", b"tmpfs/one"}


def test_a_file_system_that_is_gone_for_good_is_let_go_by_a_word(
    synced: Place,
) -> None:
    unmount(synced)
    summary = synced.sync(**GUARDED, allow_empty_source=True)
    assert (summary.exit_code, summary.deleted) == (0, 4)
    assert synced.sync(**GUARDED).exit_code == 0
