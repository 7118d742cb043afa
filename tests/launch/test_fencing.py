"""Attempts that stop and wake at any moment: no file is torn, none is put back.

Driver and movers are the real fences, doubts and files, one step at a time, in an order
and by a clock that a seed chooses. A mover may be stopped between any two steps, also
between its last look at the fence and the rename.
"""

import os
import random
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from haulage.errors import CancelledError
from haulage.exchange import progress_file
from haulage.exchange.wave_files import Claim, SlotRecord
from haulage.launch.slots import doubts
from haulage.launch.slots.doubts import Doubts
from haulage.verbs.attempt.leased_fence import LeasedFence

HOLD_S = 10.0
SIGN_OF = doubts._sign_of
STEPS = 300


@dataclass
class World:
    """A source with versions, a target, and a clock."""

    root: Path
    now_s: float = 0.0
    version: int = 1
    named: list[int] = field(default_factory=list)  # attempts, as they renamed

    @property
    def target(self) -> Path:
        return self.root / "target"

    def progress(self, number: int) -> Path:
        return self.root / f"progress-{number}"

    def temporary(self, number: int) -> Path:
        return self.root / f".temp-{number}"


@dataclass
class Mover:
    """One attempt; its steps are those of a copy under a temporary name."""

    world: World
    number: int
    stops_after: int  # steps; until something wakes it
    steps: Iterator[None] = field(init=False)
    fence: LeasedFence | None = None
    is_stopped: bool = False
    is_done: bool = False
    beat: int = 0

    def __post_init__(self) -> None:
        self.steps = self._copy()

    def step(self) -> None:
        self.is_stopped = self.stops_after == 0
        self.stops_after -= 1
        try:
            next(self.steps)
        except (StopIteration, CancelledError, FileNotFoundError):
            self.is_done = True

    def _copy(self) -> Iterator[None]:
        world = self.world
        clock = lambda: world.now_s  # noqa: E731
        self.fence = LeasedFence(world.progress(self.number), HOLD_S, clock)
        yield
        for dead in range(self.number):
            world.temporary(dead).unlink(missing_ok=True)
            yield
        version = world.version
        temporary = world.temporary(self.number)
        temporary.write_text(f"{version}:")
        yield
        self._check()
        yield
        with temporary.open("a") as file:
            file.write(str(version))
        yield
        self._check()
        yield
        os.rename(temporary, world.target)
        world.named.append(self.number)

    def _check(self) -> None:
        assert self.fence is not None
        if self.fence.was_replaced():
            raise CancelledError("stopped on request")

    def live(self) -> None:
        """Let the thread that renews, and the slot, have their turn."""
        self.beat += 1
        if self.fence is not None:
            self.fence.renew()


class Driver:
    """Starts attempts, one after the other, when the one before is lost."""

    def __init__(self, world: World, choice: random.Random) -> None:
        self.world = world
        self.choice = choice
        self.is_blind = choice.random() < 0.5  # its file system shows it nothing new
        self.doubts = Doubts(HOLD_S, lambda: world.now_s)
        self.movers: list[Mover] = []
        self.order()

    def order(self) -> None:
        number = len(self.movers)
        progress_file.begin(self.world.progress(number))
        stops_after = self.choice.randrange(8 + number)
        self.movers.append(Mover(self.world, number, stops_after))

    def look(self) -> None:
        mover = self.movers[-1]
        slot = f"slot-{mover.number}.0"
        beat = 0 if self.is_blind else mover.beat
        record = SlotRecord("job", slot, "node", 1, beat)
        self.doubts.hear(record)
        claim = Claim(f"1-token{mover.number}", f"{slot}.1")
        progress = self.world.progress(mover.number)
        vars(doubts)["_sign_of"] = _nothing if self.is_blind else SIGN_OF
        if self.doubts.why_lost(claim, progress, record, None) and not mover.is_done:
            self.order()


def _nothing(_progress: Path) -> object:
    return None


def run(world: World, seed: int) -> Driver:
    choice = random.Random(seed)
    driver = Driver(world, choice)
    for _ in range(STEPS):
        mover = choice.choice(driver.movers)
        act = choice.random()
        if act < 0.25:
            driver.look()
        elif act < 0.48:
            world.now_s += choice.choice((0.1, HOLD_S / 3, HOLD_S / 2, HOLD_S))
        elif act < 0.51:
            mover.is_stopped = False
        elif act < 0.54:
            world.version += 1
        elif not mover.is_stopped and not mover.is_done:
            mover.step() if act < 0.75 else mover.live()
    return driver


def check(world: World, driver: Driver) -> None:
    assert world.named == sorted(set(world.named))
    for mover in driver.movers[::-1]:  # all wake up, the oldest last
        while not mover.is_done:
            mover.step()
    assert world.named == sorted(set(world.named))
    if world.named:
        first, _, second = world.target.read_text().partition(":")
        assert first == second, "torn"


def simulate(folder: Path, seeds: range) -> int:
    """Return how many of the interleavings had more than one attempt."""
    several = 0
    for seed in seeds:
        root = folder / str(seed)
        root.mkdir()
        world = World(root)
        driver = run(world, seed)
        check(world, driver)
        several += len(driver.movers) > 1
        for one in root.iterdir():
            with suppress(FileNotFoundError):
                one.unlink()
        root.rmdir()
    return several


def test_no_interleaving_tears_a_file_or_puts_an_old_one_back(tmp_path):
    assert simulate(tmp_path, range(1500)) > 100


@pytest.fixture(autouse=True)
def _seeing(monkeypatch):
    monkeypatch.setattr(doubts, "_sign_of", SIGN_OF)


@pytest.mark.torture
def test_no_interleaving_of_many_tears_a_file_or_puts_an_old_one_back(tmp_path):
    assert simulate(tmp_path, range(1500, 30_000)) > 2000
