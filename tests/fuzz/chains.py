"""Histories of a directory that goes through buckets into another directory."""

import os
import random
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from haulage.cli.main import NOTHING_DONE
from tests.e2e.buckets.shelf import Route, Shelf, acted_on
from tests.fuzz import drawing
from tests.fuzz.history import Night
from tests.fuzz.nights import told_of, unexpected_failures
from tests.fuzz.world import World, is_own, rest
from tests.trees.compare import Aspect, Difference, all_differences, leftovers

# What buckets have no room for, and which links of which names they do not keep.
_NOT_KEPT = frozenset({Aspect.XATTRS, Aspect.HOLES})
_ENDED = (0, 1)
_UNKNOWN_TO_MOTO = r"\x0a"  # it routes no key with a line break and a slash behind


@dataclass
class Chain:
    """A world whose source goes from leg to leg; its `back` is the last target."""

    world: World
    routes: list[Route]
    has_moto: bool
    passed: list[Night] = field(default_factory=list)

    @classmethod
    def through(cls, world: World, shelves: list[Shelf]) -> "Chain":
        """Lead the world's source through these shelves into its target."""
        place = world.place
        ends: list[Path | Shelf] = [place.source, *shelves, place.target]
        return cls(
            world,
            [
                Route(replace(place, name=f"leg-{leg}"), ends[leg], ends[leg + 1])
                for leg in range(len(ends) - 1)
            ],
            any(shelf.server.name == "moto" for shelf in shelves),
        )

    def night(self, dice: random.Random, *, is_full: bool) -> list[str]:
        """Let a day and a night pass; return what was wrong."""
        night = drawing.bucket_night(self.world, dice, is_full=is_full)
        if self.has_moto:
            day = (line for line in night.day if _UNKNOWN_TO_MOTO not in line)
            night = replace(night, day=tuple(day))
        self.passed.append(night)
        self.world.pass_day(night)
        if night.rested:
            rest()
        wrong = [line for leg in self.routes for line in self._leg(leg, night)]
        return [*wrong, *self._unequal()] if is_full else wrong

    def _leg(self, route: Route, night: Night) -> Iterator[str]:
        ended = self.world.call(*route.command(*night.options))
        if ended.code not in _ENDED:
            if night.is_full or ended.code != NOTHING_DONE:
                yield f"{route.place.name}: exit code {ended.code}: {ended.text}"
            return
        if night.is_full:  # others may leave a bucket that holds what no tree can
            for line in unexpected_failures(night, told_of(route.place)):
                yield f"{route.place.name}: {line}"
        if night.again:
            again = self.world.call(*route.command(*night.options))
            if acted_on(again.summary()):
                yield f"{route.place.name}: again: {again.summary()}"

    def _unequal(self) -> Iterator[str]:
        """Tell in what the last target is not as the documentation has it."""
        place = self.world.place
        source = os.fsencode(place.source)
        for each in all_differences(place.source, place.target, _NOT_KEPT):
            if not is_own(each.path) and not _is_left_out(source, each):
                yield f"differs: {each}"
        yield from (f"left over: {path!r}" for path in leftovers(place.target))


def _is_left_out(source: bytes, found: Difference) -> bool:
    """Tell whether it is of what no bucket holds: specials, names of one link."""
    names = found.path.split(b"/")
    for depth in range(1, len(names) + 1):
        full = os.path.join(source, *names[:depth])
        if os.path.lexists(full) and _is_special(os.lstat(full).st_mode):
            return True
    return found.what == Aspect.LINKS and os.path.islink(full)


def _is_special(mode: int) -> bool:
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode))
