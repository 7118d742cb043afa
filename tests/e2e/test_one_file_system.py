"""What is below a mount point that is not entered is left out, but not gone."""

import shutil
from typing import Any

import pytest

from tests.e2e.place import GUARDED, Place, paths_in, write
from tests.mounts import FileSystem, mounted

STAYS: dict[str, Any] = {"filters": {"one_file_system": True}, **GUARDED}


@pytest.fixture
def covered(place: Place) -> Place:
    """Return a place that was synced before it had a mount point, `dir/tmpfs/`."""
    for name in ("tmpfs/in/file", "tmpfs/file", "tmpfs-file", "file"):
        write(place.source / "dir" / name)
    place.sync()
    return place


def hidden(place: Place) -> set[bytes]:
    return {path for path in paths_in(place.target) if path.startswith(b"dir/tmpfs/")}


@pytest.mark.parametrize("listers", [pytest.param(1, marks=pytest.mark.torture), 3])
def test_what_is_known_below_a_mount_point_is_not_deleted(
    covered: Place, listers: int
) -> None:
    below = hidden(covered)
    shutil.rmtree(covered.source / "dir" / "tmpfs")
    with mounted(FileSystem.TMPFS, covered.source / "dir"):
        for name in ("tmpfs-file", "file"):  # on either side of what is hidden
            (covered.source / "dir" / name).unlink(missing_ok=True)
        for _ in range(2):
            summary = covered.sync(**STAYS, listers=listers)
            assert (summary.exit_code, summary.failed) == (0, 0)
            assert "1 directories of other file systems" in summary.notes[0]
            assert summary.notes[0].endswith(": dir/tmpfs/")
    assert below == hidden(covered)
    assert covered.manifest().keys() >= {b"dir/tmpfs/in/", b"dir/tmpfs/in/file"}
    assert not paths_in(covered.target) & {b"dir/tmpfs-file", b"dir/file"}


def test_what_went_from_an_entered_directory_is_deleted(covered: Place) -> None:
    (covered.source / "dir" / "tmpfs" / "file").unlink()
    assert covered.sync(**STAYS).deleted == 1
    assert hidden(covered) == {b"dir/tmpfs/in", b"dir/tmpfs/in/file"}
