"""Between the file systems that people have, night after night, nothing differs but
what the target cannot hold, and that is told entry by entry."""

import os
import random
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.nights import Nights, place_between
from tests.e2e.place import Place
from tests.mounts import FileSystem, mounted
from tests.trees.build import plant
from tests.trees.extremes import add_extremes, shift_extremes
from tests.trees.mutate import mutate

SEED = int(os.environ.get("TORTURE_SEED", "0")) or random.SystemRandom().getrandbits(30)
NIGHTS = int(os.environ.get("TORTURE_NIGHTS", "8"))
ENTRIES = int(os.environ.get("TORTURE_ENTRIES", "2500"))
EXT4, XFS, BTRFS, TMPFS = FileSystem
PAIRS = [(each, each) for each in FileSystem]
PAIRS += [(EXT4, XFS), (XFS, BTRFS), (BTRFS, TMPFS), (TMPFS, EXT4)]


@pytest.fixture
def nights(
    place: Place, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Nights]:
    """Return nights from one file system to another, or within one of them."""
    source, target = request.param
    with ExitStack() as stack:
        there = stack.enter_context(mounted(source, tmp_path / "from"))
        here = there
        if target is not source:
            here = stack.enter_context(mounted(target, tmp_path / "to"))
        yield place_between(place, there / "source", here / "target")


def planted(nights: Nights, seed: int, entries: int) -> None:
    """Fill the source with all that breaks tools."""
    source = nights.place.source
    plant(source, seed, entries, extras=True, specials=True, links=True)
    add_extremes(os.fsencode(source), random.Random(seed))


@pytest.mark.torture
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("nights", PAIRS, indirect=True, ids=" to ".join)
def test_night_after_night_nothing_differs_that_is_not_told(nights: Nights) -> None:
    print(f"again: TORTURE_SEED={SEED} make torture")
    dice = random.Random(SEED)
    planted(nights, SEED, ENTRIES)
    nights.sync()
    for night in range(NIGHTS):
        seed = dice.randrange(1 << 30)
        print(f"night {night}: seed {seed}")
        shift_extremes(os.fsencode(nights.place.source), random.Random(seed))
        mutate(nights.place.source, seed, dice.uniform(0.02, 0.2))
        if dice.random() < 0.4:
            nights.sync_with_kills(dice)
        else:
            nights.sync()


@pytest.mark.parametrize(
    "nights",
    [(EXT4, XFS), pytest.param((BTRFS, TMPFS), marks=pytest.mark.torture)],
    indirect=True,
    ids=" to ".join,
)
def test_two_nights_between_file_systems_leave_no_difference_untold(
    nights: Nights,
) -> None:
    planted(nights, 5, 700)
    nights.sync()
    mutate(nights.place.source, 6)
    nights.sync()
