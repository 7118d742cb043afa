"""Draws the nights of a history, each when those before it are over."""

import random
import stat
from dataclasses import dataclass
from itertools import accumulate

from tests.fuzz.deeds import deed
from tests.fuzz.history import Fate, Night
from tests.fuzz.judging import stats
from tests.fuzz.options import FULL, FULL_OF_BUCKETS, some_options, work_options
from tests.fuzz.scene import scenes
from tests.fuzz.world import World

_LINES = (0, 0, 1, 3, 6, 10, 20)  # of a day, for each tree; the last for its first day
_FATES = {Fate.PEACE: 16, Fate.RESUMED: 1, Fate.SUPERSEDED: 1}
_CUMULATED = tuple(accumulate(_FATES.values()))


@dataclass(frozen=True)
class Kind:
    """What is known of a night before it is drawn."""

    is_full: bool
    rested: bool
    kills: bool  # may be killed, at a moment that no seed decides


def night(world: World, dice: random.Random, kind: Kind) -> Night:
    """Return a night that fits what the world holds now."""
    is_full = kind.is_full
    fate = dice.choices(tuple(_FATES), cum_weights=_CUMULATED)[0]
    has_guests = not is_full and dice.random() < 0.2
    return Night(
        _day(world, dice),
        FULL + work_options(dice) if is_full else some_options(dice),
        is_full,
        kind.rested,
        guests=_guests(world, dice) if has_guests else (),
        fate=fate if kind.kills else Fate.PEACE,
        killed_after_s=round(dice.uniform(0.5, 2.5), 2),
        again=is_full and dice.random() < 0.3,
        verified=is_full and dice.random() < 0.2,
    )


def bucket_night(world: World, dice: random.Random, *, is_full: bool) -> Night:
    """Return a night by options that buckets have, too."""
    return Night(
        _day(world, dice),
        FULL_OF_BUCKETS if is_full else some_options(dice, buckets=True),
        is_full,
        rested=dice.random() < 0.5,
        again=is_full and dice.random() < 0.3,
    )


def _day(world: World, dice: random.Random) -> tuple[str, ...]:
    return tuple(
        deed(scene)
        for scene in scenes(world.place.source, dice)
        for _ in range(dice.choice(_LINES) if scene.found else _LINES[-1])
    )


def _guests(world: World, dice: random.Random) -> tuple[bytes, ...]:
    """Return some directories of the target."""
    found = stats(world.place.target).items()
    dirs = [path for path, info in found if stat.S_ISDIR(info.st_mode)]
    return tuple(dice.sample([*dirs, b""], min(3, len(dirs) + 1)))
