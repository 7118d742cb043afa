"""A target that is not what the last run left: another disk, rolled back, damaged."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from haulage.errors import CancelledError
from tests.e2e.exact import assert_exact
from tests.e2e.place import GUARDED, Before, Place, grow_old, paths_in, write
from tests.mounts import FileSystem, mounted

DISKS = ("disk-a", "disk-b")


@pytest.fixture
def filled(place: Place) -> Place:
    """Return a place whose source has some entries."""
    for number in range(20):
        write(place.source / f"f{number:02}", b"%d" % number)
    (place.source / "dir").mkdir()
    return place


def use(place: Place, disk: str) -> None:
    """Put one of two disks where the target is."""
    label = place.root / "disk in use"
    if label.exists():
        place.target.rename(place.root / label.read_text())
    (place.root / disk).mkdir(exist_ok=True)
    (place.root / disk).rename(place.target)
    label.write_text(disk)


def night(place: Place, **policy: Any) -> tuple[str, ...]:
    """Change the source, sync, and look whether the target is exact."""
    summary = place.sync(**GUARDED, **policy)
    assert summary.exit_code == 0, place.failures()
    assert_exact(place)
    return summary.notes


def change(place: Place, number: int) -> None:
    write(place.source / f"new-{number}")
    write(place.source / "f01", b"edited %d" % number)
    os.truncate(place.source / "f03", number)
    (place.source / f"f{number + 4:02}").unlink()


@pytest.mark.parametrize("turns", [1, pytest.param(2, marks=pytest.mark.torture)])
def test_two_disks_in_turn_are_exact_and_each_is_known_again(
    filled: Place, turns: int
) -> None:
    use(filled, "disk-a")
    night(filled)
    use(filled, "disk-b")
    night(filled, afresh=True)
    grow_old()
    for number, disk in enumerate(DISKS * turns):
        change(filled, number)
        use(filled, disk)
        notes = night(filled)
        assert any("another disk, or was rolled back" in note for note in notes)
    last = filled.sync(**GUARDED)
    assert (last.unchanged, last.copied, last.notes) == (last.listed, 0, ())


@pytest.mark.parametrize("turns", [1, pytest.param(2, marks=pytest.mark.torture)])
def test_verify_writes_no_mark_and_two_disks_are_known_again_after_it(
    filled: Place, turns: int
) -> None:
    for disk in DISKS:
        use(filled, disk)
        night(filled, afresh=disk != DISKS[0])
    grow_old()
    for number, disk in enumerate(DISKS * turns):
        before = tree_of(filled.target)
        for _ in range(2):
            assert filled.haulage("verify", filled.name).code == 0
        assert tree_of(filled.target) == before
        assert filled.sync(**GUARDED).notes == ()
        assert filled.haulage("verify", filled.name).code == 0
        change(filled, number)
        use(filled, disk)
        notes = night(filled)
        assert any("another disk, or was rolled back" in note for note in notes)


def tree_of(target: Path) -> dict[str, tuple[int, int]]:
    """Return what changes of each name when it is written, of the mark as well."""
    paths = (target, *target.rglob("*"))
    infos = {str(path): path.lstat() for path in paths}
    return {path: (info.st_mtime_ns, info.st_ctime_ns) for path, info in infos.items()}


def test_of_a_disk_that_comes_back_only_changes_are_copied(filled: Place) -> None:
    use(filled, "disk-a")
    night(filled)
    use(filled, "disk-b")
    night(filled, afresh=True)
    grow_old()
    write(filled.source / "new")
    use(filled, "disk-a")
    summary = filled.sync(**GUARDED)
    assert (summary.copied, summary.verified) == (1, 1)
    assert_exact(filled)


def test_a_target_that_was_rolled_back_is_exact_again(filled: Place) -> None:
    night(filled)
    grow_old()
    snapshot = filled.root / "snapshot"
    subprocess.run(["cp", "-a", filled.target, snapshot], check=True)
    for number in range(3):
        change(filled, number)
        night(filled)
    shutil.rmtree(filled.target)
    snapshot.rename(filled.target)
    write(filled.target / "of others")
    assert filled.sync(**GUARDED).exit_code == 0
    (filled.target / "of others").unlink()
    os.utime(filled.target, ns=(0, filled.source.stat().st_mtime_ns))
    assert_exact(filled)


@pytest.mark.parametrize("word", ["mark", "manifest"])
def test_a_target_that_nobody_knows_is_listed(filled: Place, word: str) -> None:
    night(filled)
    grow_old()
    change(filled, 0)
    night(filled)
    (filled.target / "f10").unlink()
    mark = filled.target / ".haulage-state-tree"
    if word == "mark":
        mark.unlink()
    else:
        mark.write_text(mark.read_text().replace(filled.last_run().id, "another"))
        mark.write_text(mark.read_text().replace('"before": "', '"before": "x'))
    (filled.source / "f11").unlink()
    notes = night(filled)
    assert any(word in note and "listed" in note for note in notes)
    assert not filled.sync(**GUARDED).notes


def test_a_damaged_target_is_listed_or_told(filled: Place) -> None:
    night(filled)
    (filled.target / "f05").unlink()
    (filled.target / "f06").write_bytes(b"of others")
    (note,) = filled.sync(**GUARDED).notes
    assert "entries that were looked for are not in the target as Haulage" in note
    assert "--afresh" in note
    for number in range(2, 20):
        (filled.target / f"f{number:02}").unlink(missing_ok=True)
    (note,) = night(filled)
    assert "it was listed" in note


def test_afresh_lists_whatever_is_left_and_deletes_what_is_gone(
    filled: Place,
) -> None:
    night(filled)
    (filled.target / "f05").unlink()
    (filled.target / "f06").write_bytes(b"of others")
    (filled.source / "f07").unlink()
    write(filled.target / "foreign")
    summary = filled.sync(**GUARDED, afresh=True)
    assert (summary.exit_code, summary.copied, summary.deleted) == (0, 2, 1)
    assert paths_in(filled.target) - paths_in(filled.source) == {b"foreign"}
    assert filled.sync(**GUARDED).notes == ()


def test_what_later_runs_gave_is_given_to_an_older_disk_too(filled: Place) -> None:
    plain: dict[str, Any] = {"preserve": "links,sparse"}
    use(filled, "disk-a")
    assert filled.sync(**plain).exit_code == 0
    use(filled, "disk-b")
    assert filled.sync(**plain, afresh=True).exit_code == 0
    for file in filled.source.iterdir():
        os.chown(file, 12, 13)
    use(filled, "disk-a")
    night(filled)
    use(filled, "disk-b")
    night(filled)


def test_a_run_goes_on_with_its_own_target_only(filled: Place) -> None:
    use(filled, "disk-a")
    night(filled)
    use(filled, "disk-b")
    night(filled, afresh=True)
    change(filled, 0)

    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(CancelledError):
        filled.sync(Before("delete", stop), **GUARDED)
    stopped = filled.last_run().id
    use(filled, "disk-a")
    ended = filled.haulage("resume", stopped)
    assert ended.code == 2
    assert "not the one that this run began with" in ended.text
    use(filled, "disk-b")
    assert filled.haulage("resume", stopped).code == 0
    assert_exact(filled)
    for disk in DISKS:
        use(filled, disk)
        night(filled)


def test_a_dry_run_says_what_another_target_would_get(filled: Place) -> None:
    use(filled, "disk-a")
    night(filled)
    use(filled, "disk-b")
    night(filled, afresh=True)
    grow_old()
    change(filled, 0)
    night(filled)
    use(filled, "disk-a")
    before = {path: path.stat().st_mtime_ns for path in filled.target.iterdir()}
    ended = filled.sync_by_command("--dry-run", "--delete", "guarded")
    assert any("another disk" in note for note in ended.summary()["notes"])
    assert "would delete 1 entries" in ended.summary()["notes"]
    assert before == {path: path.stat().st_mtime_ns for path in filled.target.iterdir()}


@contextmanager
def disk_below(place: Place) -> Iterator[Path]:
    with mounted(FileSystem.TMPFS, place.target) as disk:
        yield disk
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", disk], check=True)


def test_a_disk_below_the_target_that_is_away_is_not_filled(filled: Place) -> None:
    write(filled.source / "tmpfs" / "on the disk")
    with disk_below(filled) as disk:
        night(filled)
        subprocess.run(["umount", disk], check=True)
        write(filled.source / "tmpfs" / "later")
        ended = filled.sync_by_command()
        assert ended.code == 2
        assert "tmpfs/ was a mount point and no longer is" in ended.text
        assert paths_in(disk) == set()
        assert filled.sync_by_command("--afresh").code == 0
        assert paths_in(disk) == {b"on the disk", b"later"}


def test_a_disk_that_is_mounted_below_the_target_is_filled(filled: Place) -> None:
    write(filled.source / "tmpfs" / "file")
    night(filled)
    subprocess.run(["mount", "-t", "tmpfs", "t", filled.target / "tmpfs"], check=True)
    try:
        assert any("is a mount point now" in note for note in night(filled))
    finally:
        subprocess.run(["umount", filled.target / "tmpfs"], check=True)
