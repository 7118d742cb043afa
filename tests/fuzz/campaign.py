"""Passes nights by a seed, and shrinks what goes wrong to a script."""

import random
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz import drawing
from tests.fuzz.history import History, Night
from tests.fuzz.nights import Telling, begin, pass_nights
from tests.fuzz.script import script
from tests.fuzz.shrinking import shrunk
from tests.fuzz.world import World

_AT_ONCE = 4  # worlds that wait together
_LIFE = 8  # nights of a world
_FULL_FIRST, _FULL_LATER = 0.3, 0.45  # share of full nights


@dataclass
class Campaign:
    """Where a campaign works, and what it has found."""

    root: Path
    kills: bool = True  # some runs
    patience_s: float = 900  # of the search for a shorter way to a failure
    passed: int = 0
    found: list[str] = field(default_factory=list)  # each a script
    _made: int = 0

    def go_on(
        self, seed: int, nights: int, tell: Callable[[str], None] = print
    ) -> None:
        """Pass about as many nights, and as many more as complete a life."""
        dice = random.Random(seed)
        wanted = self.passed + nights
        while self.passed < wanted:
            tellings = [Telling(self._world()) for _ in range(_AT_ONCE)]
            for number in range(_LIFE):
                is_last = number == _LIFE - 1 or self.passed + _AT_ONCE >= wanted
                self._night(tellings, dice, is_first=number == 0, is_last=is_last)
                tellings = self._mended(tellings, tell)
                if is_last:
                    break
            for telling in tellings:
                shutil.rmtree(telling.world.place.root)
            tell(f"seed {seed}: {self.passed} nights, {len(self.found)} failures")

    def _night(
        self,
        tellings: Sequence[Telling],
        dice: random.Random,
        *,
        is_first: bool,
        is_last: bool,
    ) -> None:
        rested = dice.random() < 0.85
        share = _FULL_FIRST if is_first else _FULL_LATER
        nights = []
        for each in tellings:
            is_full = is_last or dice.random() < share
            kind = drawing.Kind(is_full, rested, self.kills)
            nights.append(drawing.night(each.world, dice, kind))
        pass_nights(tellings, nights)
        self.passed += len(nights)

    def _mended(
        self, tellings: Sequence[Telling], tell: Callable[[str], None]
    ) -> list[Telling]:
        """Take out worlds in which something went wrong, and write that down."""
        for telling in tellings:
            if telling.wrong:
                tell("\n".join([*telling.wrong[:9], str(telling.passed[-1].options)]))
                passed = tuple(telling.passed)
                found = shrunk(passed, telling.wrong, self._replayed, self.patience_s)
                self.found.append(script(*found))
                tell(self.found[-1])
                shutil.rmtree(telling.world.place.root)
        return [telling for telling in tellings if not telling.wrong]

    def _replayed(self, histories: Sequence[History]) -> list[list[str]]:
        """Return the complaints of the last night of each."""
        tellings = [Telling(self._world()) for _ in histories]
        for number in range(max(map(len, histories))):
            rows: list[tuple[Telling, Night, bool]] = [
                (telling, history[number], number == len(history) - 1)
                for telling, history in zip(tellings, histories, strict=True)
                if number < len(history)
            ]
            begin([row[0] for row in rows], [row[1] for row in rows])
            for telling, night, is_last in rows:
                telling.night(night, is_judged=is_last)
        for telling in tellings:
            shutil.rmtree(telling.world.place.root)
        return [telling.wrong for telling in tellings]

    def _world(self) -> World:
        self._made += 1
        return World.made_in(self.root / f"world-{self._made}")

    def written_to(self, directory: Path) -> list[Path]:
        """Write what was found as scripts; return where they are."""
        written = []
        for number, text in enumerate(self.found):
            written.append(directory / f"fuzz-{number}.sh")
            written[-1].write_text(text)
        return written
