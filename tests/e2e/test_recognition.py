"""A directory that is not mounted is told by what it lacks, not by being empty."""

from pathlib import Path

import pytest

from haulage.errors import FatalError, RefusedError
from haulage.run.context.runner import ThreadRunner
from tests.e2e.place import GUARDED, Place, paths_in, write
from tests.trees.compare import assert_same


@pytest.fixture
def synced(place: Place) -> Place:
    """Return a place that was synced."""
    for number in range(12):
        write(place.source / f"dir-{number % 3}" / f"file-{number}")
    place.sync()
    return place


def unmount(root: Path) -> Path:
    """Leave at `root` what a mount point has when nothing is mounted there."""
    mounted = root.with_name(f"{root.name} elsewhere")
    root.rename(mounted)
    write(root / "NOT MOUNTED")
    return mounted


def test_a_target_without_anything_of_ours_is_refused(synced: Place) -> None:
    unmount(synced.target)
    ended = synced.sync_by_command()
    assert ended.code == 2
    assert str(synced.target) in ended.text
    assert "is it mounted? To fill it again: --afresh" in ended.text
    assert paths_in(synced.target) == {b"NOT MOUNTED"}


@pytest.mark.parametrize(
    "entries",
    [1, *(pytest.param(entries, marks=pytest.mark.torture) for entries in (2, 6))],
)
def test_a_target_that_lacks_all_of_a_few_entries_is_refused_and_filled_anew_on_request(
    place: Place, entries: int
) -> None:
    for number in range(entries):
        write(place.source / f"file-{number}")
    place.sync()
    unmount(place.target)
    ended = place.sync_by_command()
    assert ended.code == 2
    assert f"has none of {entries} entries" in ended.text
    assert place.sync(afresh=True).copied == entries
    assert place.sync().exit_code == 0


def test_a_source_of_few_entries_may_have_lost_all_of_them(place: Place) -> None:
    for number in range(3):
        write(place.source / f"file-{number}")
    place.sync()
    unmount(place.source)
    assert place.sync(**GUARDED).deleted == 3


def test_a_target_that_is_to_be_filled_anew_is(synced: Place) -> None:
    unmount(synced.target)
    assert synced.sync(afresh=True).exit_code == 0
    (synced.target / "NOT MOUNTED").unlink()
    synced.sync(steps=["dirs"])
    assert_same(synced.source, synced.target)


def test_a_source_without_anything_of_the_manifest_deletes_nothing(
    synced: Place,
) -> None:
    before = paths_in(synced.target)
    unmount(synced.source)
    with pytest.raises(RefusedError, match=r"source .* is it mounted"):
        synced.sync(**GUARDED)
    assert paths_in(synced.target) == before


def test_a_source_that_was_replaced_is_copied_where_nothing_is_deleted(
    synced: Place,
) -> None:
    before = paths_in(synced.target)
    unmount(synced.source)
    assert synced.sync().exit_code == 0
    assert paths_in(synced.target) == before | {b"NOT MOUNTED"}


def test_another_directory_with_the_same_entries_is_recognised(synced: Place) -> None:
    unmount(synced.target).rename(synced.root / "moved")
    (synced.target / "NOT MOUNTED").unlink()
    synced.target.rmdir()
    (synced.root / "moved").rename(synced.root / "new disk")
    synced.target.symlink_to(synced.root / "new disk")
    assert synced.sync().copied == 0
    assert_same(synced.source, synced.root / "new disk")


def test_an_unmounted_target_is_refused_by_a_resume_too(synced: Place) -> None:
    class Failing(ThreadRunner):
        def call(self, name, work):
            raise FatalError("as if the power had failed")

    write(synced.source / "new")
    with pytest.raises(FatalError):
        synced.sync(Failing())
    mounted = unmount(synced.target)
    ended = synced.haulage("resume", synced.last_run().id)
    assert ended.code == 2
    assert "is it mounted?" in ended.text
    assert paths_in(synced.target) == {b"NOT MOUNTED"}
    (synced.target / "NOT MOUNTED").unlink()
    synced.target.rmdir()
    mounted.rename(synced.target)
    assert synced.haulage("resume", synced.last_run().id).code == 0
    assert_same(synced.source, synced.target)
