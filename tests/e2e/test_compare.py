"""What counts as a change; no night takes for equal what it did not compare."""

import os
import shutil

import pytest

from haulage.config.policy import Once
from haulage.run import sequence
from haulage.run.context.runner import Summary, ThreadRunner
from tests.e2e.place import Place, grow_old, write
from tests.trees.compare import assert_same

LONG_AGO = 1_500_000_000_000_000_000


def night(place: Place, compare: str = "metadata") -> Summary:
    once = Once.model_validate({"compare": compare})
    dataset = place.dataset()
    return sequence.sync(
        dataset, ThreadRunner(), once=once, catalog_url=place.catalog_url
    )


@pytest.fixture
def synced(place: Place) -> Place:
    for name in ("edited", "chmod", "kept"):
        write(place.source / name, b"version 1")
        os.utime(place.source / name, ns=(LONG_AGO, LONG_AGO))
    grow_old()
    place.sync()
    return place


def edit(place: Place, name: str, mtime_ns: int) -> None:
    write(place.source / name, b"version 2")
    os.utime(place.source / name, ns=(mtime_ns, mtime_ns))


@pytest.mark.parametrize(
    ("compare", "mtime_ns"),
    [
        pytest.param("size", LONG_AGO + 5, marks=pytest.mark.torture),
        ("mtime", LONG_AGO),
    ],
)
def test_an_edit_that_one_night_does_not_compare_is_found_by_the_next(
    synced: Place, compare: str, mtime_ns: int
) -> None:
    edit(synced, "edited", mtime_ns)
    edit(synced, "chmod", LONG_AGO)
    os.chmod(synced.source / "chmod", 0o640)
    grow_old()
    summary = night(synced, compare)
    assert (summary.copied, summary.checked, summary.updated) == (0, 0, 1)
    assert (synced.target / "edited").stat().st_mtime_ns == LONG_AGO, "its own"
    assert (synced.target / "chmod").stat().st_mode & 0o777 == 0o640
    assert night(synced).copied == 2
    assert_same(synced.source, synced.target)


def test_files_of_other_inodes_are_read_and_counted_or_left_by_mtime(
    synced: Place,
) -> None:
    (synced.source / "dir").mkdir()
    (synced.source / "link").symlink_to("kept")
    night(synced)
    shutil.copytree(synced.source, synced.root / "restored", symlinks=True)
    shutil.rmtree(synced.source)
    (synced.root / "restored").rename(synced.source)
    grow_old()
    by_mtime = night(synced, "mtime")
    assert (by_mtime.checked, by_mtime.checked_bytes) == (0, 0)
    assert (by_mtime.made, by_mtime.updated) == (0, 0)
    by_inode = night(synced)
    assert (by_inode.copied, by_inode.checked, by_inode.checked_bytes) == (0, 3, 27)
    assert night(synced).checked == 0
