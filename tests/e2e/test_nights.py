"""A week of days that change a tree, and nights that bring the target after it."""

import random
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.place import GUARDED, Place, paths_in, stats_in
from tests.trees.build import plant
from tests.trees.compare import assert_same, leftovers, rsync_differences
from tests.trees.mutate import What, mutate

NIGHTS = 7
_RETYPED = {
    What.FILE_TO_DIR,
    What.FILE_TO_SYMLINK,
    What.DIR_TO_FILE,
    What.DIR_TO_SYMLINK,
    What.SYMLINK_TO_DIR,
}


def names_in(root: Path) -> set[bytes]:
    """Return the paths of all that is below `root`, those of directories with `/`."""
    found = stats_in(root).items()
    return {path + b"/" * stat.S_ISDIR(info.st_mode) for path, info in found}


def one_night(place: Place, seed: int, share: float) -> None:
    """Change the source, sync, and look at all that the night should have done."""
    before, names = paths_in(place.target), names_in(place.target)
    changes = mutate(place.source, seed, share)
    policy: dict[str, Any] = {"movers": 2, "listers": 2, **GUARDED}
    summary = place.sync(shards={"max_entries": 100}, **policy)
    assert (summary.exit_code, summary.failed) == (0, 0), place.failures()
    assert_same(place.source, place.target)
    assert rsync_differences(place.source, place.target) == []
    assert leftovers(place.target) == []
    stones = {path.rstrip(b"/") for path in place.deleted()}
    gone = before - paths_in(place.target)
    retyped = {change.path for change in changes if change.what in _RETYPED}
    assert gone <= stones
    assert stones - gone <= retyped
    assert summary.deleted == len(names - names_in(place.target))
    assert {path.rstrip(b"/") for path in place.manifest()} - {b""} == paths_in(
        place.target
    )


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.torture)])
def test_after_each_night_of_a_week_the_target_is_equal(
    place: Place, seed: int, request: pytest.FixtureRequest
) -> None:
    if seed == 2:
        place = with_postgres(place, request)
    dice = random.Random(seed)
    plant(place.source, seed, 600, extras=True, links=True)
    place.sync(movers=2, listers=2)
    assert_same(place.source, place.target)
    for _ in range(NIGHTS):
        one_night(place, dice.randrange(1 << 30), dice.uniform(0.05, 0.2))


def with_postgres(place: Place, request: pytest.FixtureRequest) -> Place:
    """Return the same place with a catalog on Postgres."""
    url = request.getfixturevalue("postgres").fresh_database()
    return Place(place.root, url, place.source, place.name)
