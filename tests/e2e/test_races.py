"""What others do to source and target while a run is under way."""

import os
import random
import stat
import time
from contextlib import suppress
from pathlib import Path

import pytest

from haulage.model import Status
from tests.e2e.meddling import exchange, meddler
from tests.e2e.place import GUARDED, Place, grow_old, paths_in, stats_in, write
from tests.trees.build import plant
from tests.trees.compare import assert_same, leftovers

SENTINEL = b"what is outside of the roots and nobody's business"
FLIPS_S = 3.0
LONG_FLIPS_S = 20.0
FILES = 30


@pytest.fixture
def outside(place: Place) -> Path:
    """Return a directory that has the names of `swapped` and secret content."""
    root = place.root / "outside"
    for number in range(FILES):
        write(root / f"f{number}", SENTINEL)
        write(root / "sub" / f"g{number}", SENTINEL)
    return root


def fill(directory: Path, content: bytes) -> None:
    for number in range(FILES):
        write(directory / f"f{number}", content)
        write(directory / "sub" / f"g{number}", content)


def sync_for(place: Place, seconds: float, *options: str) -> int:
    """Sync again and again, always from scratch; return how often."""
    rounds = 0
    until = time.monotonic() + seconds
    while time.monotonic() < until or rounds < 2:
        ended = place.sync_by_command("--compare", "always", *options)
        assert ended.code in (0, 1), ended.text
        rounds += 1
    return rounds


def untouched(root: Path) -> dict[bytes, tuple[int, ...]]:
    """Return what would differ if anything below `root` were written or replaced."""
    return {
        path: (found.st_ino, found.st_mode, found.st_mtime_ns, found.st_ctime_ns)
        for path, found in stats_in(root).items()
    }


def contents(root: Path) -> set[bytes]:
    """Return what all files below `root` hold."""
    return {
        (root / os.fsdecode(path)).read_bytes()
        for path, found in stats_in(root).items()
        if stat.S_ISREG(found.st_mode)
    }


@pytest.mark.parametrize(
    "seconds",
    [FLIPS_S, pytest.param(LONG_FLIPS_S, marks=pytest.mark.torture)],
)
def test_a_directory_of_the_source_that_flips_to_a_link_leads_to_nothing_outside(
    place: Place, outside: Path, seconds: float
) -> None:
    fill(place.source / "swapped", b"inside")
    link = place.root / "link"
    link.symlink_to(outside)
    with meddler(lambda _: exchange(place.source / "swapped", link)) as flips:
        sync_for(place, seconds)
    assert flips[0] > 500
    assert SENTINEL not in contents(place.target)
    if (place.source / "swapped").is_symlink():
        exchange(place.source / "swapped", link)
    grow_old()
    assert place.sync_by_command(*("--delete", "guarded")).code == 0
    assert_same(place.source, place.target)
    assert leftovers(place.target) == []


@pytest.mark.parametrize(
    "seconds",
    [FLIPS_S, pytest.param(LONG_FLIPS_S, marks=pytest.mark.torture)],
)
def test_a_directory_of_the_target_that_flips_to_a_link_leads_to_nothing_outside(
    place: Place, outside: Path, seconds: float
) -> None:
    fill(place.source / "swapped", b"inside")
    assert place.sync_by_command().code == 0
    before = untouched(outside)
    link = place.root / "link"
    link.symlink_to(outside)

    def flip(_: int) -> None:
        with suppress(FileNotFoundError):  # a link in the way was removed
            exchange(place.target / "swapped", link)
        if not os.path.lexists(link):
            link.symlink_to(outside)

    with meddler(flip) as flips:
        sync_for(place, seconds, "--delete", "guarded", "--max-delete-share", "1")
    assert flips[0] > 500
    assert untouched(outside) == before
    assert contents(outside) == {SENTINEL}


def test_whatever_becomes_of_files_while_they_are_copied_nothing_torn_is_kept(
    place: Place,
) -> None:
    """Every version of a file is one letter, so that a mixture shows."""
    dice = random.Random(4)
    names = [f"f{number}" for number in range(20)]
    for name in names:
        write(place.source / name, b"A" * 300_000)
    write(place.root / "fifo-outside")

    def meddle(number: int) -> None:
        file = place.source / dice.choice(names)
        letter = bytes([ord("A") + number % 26])
        with suppress(OSError):  # of what another meddling made of it
            _meddle(dice.randrange(7), file, letter * dice.randrange(1, 400_000))

    with meddler(meddle) as times:
        summaries = [place.sync(verify="none") for _ in range(4)]
    assert times[0] > 100
    statuses = {failure.status for failure in place.failures().values()}
    assert statuses <= {Status.UNSTABLE.name.lower(), Status.VANISHED.name.lower()}
    for path, row in place.manifest().items():
        known = place.target / os.fsdecode(path)
        if known.is_file() and not known.is_symlink() and not row["racy"]:
            assert len(set(known.read_bytes())) <= 1, path
    assert len(summaries) == 4
    for name in names:
        _clear(place.source / name)
        write(place.source / name, b"at rest")
    grow_old()
    assert place.sync(**GUARDED).exit_code == 0
    assert_same(place.source, place.target)
    assert leftovers(place.target) == []


def _meddle(way: int, file: Path, content: bytes) -> None:
    aside = file.with_name(f".aside-{file.name}")
    if file.is_dir() and not file.is_symlink():
        file.rmdir()
    match way:
        case 0:  # whole, by rename
            aside.write_bytes(content)
            aside.rename(file)
        case 1:  # in place: for a moment it is a mixture
            with suppress(OSError), file.open("r+b") as opened:
                opened.write(content)
                opened.truncate(len(content))
        case 2:
            with suppress(FileNotFoundError):
                file.unlink()
        case 3:
            with suppress(OSError):
                os.mkfifo(aside)
                aside.rename(file)
        case 4:
            aside.symlink_to("nowhere")
            aside.rename(file)
        case 5:
            _clear(file)
            file.mkdir()
        case _:
            with suppress(OSError):
                os.truncate(file, len(content) // 2)


def _clear(file: Path) -> None:
    """Remove whatever stands there."""
    with suppress(FileNotFoundError):
        if file.is_dir() and not file.is_symlink():
            file.rmdir()
        else:
            file.unlink()


def test_a_tree_that_is_moved_about_ends_equal_when_it_rests(place: Place) -> None:
    plant(place.source, seed=77, entries=300)
    dice = random.Random(9)
    with os.scandir(place.source) as entries:
        found = [Path(one) for one in entries if one.is_dir(follow_symlinks=False)]
    directories = sorted(found)

    def meddle(number: int) -> None:
        directory = dice.choice(directories)
        with suppress(OSError):
            write(directory / f"new-{number % 40}", b"n" * dice.randrange(9000))
        with suppress(OSError):
            os.unlink(directory / f"new-{dice.randrange(40)}")
        with suppress(OSError):
            directory.rename(directory.with_name("moved"))
            directory.with_name("moved").rename(directory)

    with meddler(meddle) as times:
        for _ in range(3):
            assert place.sync(**GUARDED).exit_code in (0, 1)
    assert times[0] > 100
    grow_old()
    assert place.sync(**GUARDED).exit_code == 0
    assert paths_in(place.source) == paths_in(place.target)
    assert_same(place.source, place.target)
