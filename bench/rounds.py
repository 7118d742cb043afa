"""Give every tool of a row its turns, interleaved."""

import shutil
import time
from collections import defaultdict
from pathlib import Path
from typing import Protocol

from bench import measure, proof
from bench.measure import Usage
from bench.peers import CP, Places, Tool, program
from bench.rows import Row

# What changed within two seconds of its copy counts as racy and is read again.
UNTIL_NOTHING_IS_RACY_S = 3


Results = dict[Tool, list[Usage]]


class Turn(Protocol):
    """How one tool is run once, and what goes before the first of them."""

    def prepare(self, tools: list[Tool]) -> None:
        """Bring about what the tools are to find."""

    def take(self, tool: Tool) -> Usage:
        """Run `tool`, look whether it did its work, and clear up behind it."""


def measure_row(row: Row, tools: list[Tool], rounds: int, place: Path) -> Results:
    """Run the tools of a row between two directories."""
    source = place / "source"
    row.make(source)
    turn = _Unchanged(source, place) if row.unchanged else _Copy(source, place)
    turn.prepare(tools)
    return take_turns(turn, tools, rounds)


def take_turns(turn: Turn, tools: list[Tool], rounds: int) -> Results:
    """Run each of `tools` `rounds` times, so that a slow minute is shared by all."""
    results: Results = defaultdict(list)
    for number in range(rounds):
        first = number % len(tools)
        for tool in tools[first:] + tools[:first]:
            results[tool].append(turn.take(tool))
    return results


class _Copy:
    """A turn into a target that is new and empty."""

    def __init__(self, source: Path, place: Path) -> None:
        self._source, self._target = source, place / "target"
        self._at = Places(str(source), str(self._target), place / "notes")

    def prepare(self, tools: list[Tool]) -> None:
        """Take one turn that does not count: later ones find programs in memory."""
        for tool in tools[:1]:
            self.take(tool)

    def take(self, tool: Tool) -> Usage:
        """See Turn."""
        at = self._at
        self._target.mkdir()
        at.notes.mkdir()
        if tool.is_ours:  # the catalog is there from the second day on
            measure.run([program("haulage"), "runs"], tool.env(at))
        usage = measure.run(tool.command(at), tool.env(at))
        if tool.copies:
            proof.demand_equal(self._source, self._target, tool.name)
        shutil.rmtree(self._target)
        shutil.rmtree(at.notes)
        return usage


class _Unchanged:
    """A turn over a target that a first run has made equal."""

    def __init__(self, source: Path, place: Path) -> None:
        self._source, self._target = source, place / "target"
        self._notes = place / "notes"

    def prepare(self, tools: list[Tool]) -> None:
        """Make the target equal, and let tools that remember see it once."""
        self._target.mkdir()
        self._notes.mkdir()
        measure.run(CP.command(self._at(CP)), {})
        time.sleep(UNTIL_NOTHING_IS_RACY_S)
        for tool in tools:
            if tool.remembers:
                self.take(tool)

    def take(self, tool: Tool) -> Usage:
        """Run `tool`, and look whether the target is still what it was."""
        at = self._at(tool)
        usage = measure.run(tool.command(at), tool.env(at))
        proof.demand_equal(self._source, self._target, tool.name)
        return usage

    def _at(self, tool: Tool) -> Places:
        notes = self._notes / tool.name.replace(" ", "_")
        notes.mkdir(exist_ok=True)
        return Places(str(self._source), str(self._target), notes)
