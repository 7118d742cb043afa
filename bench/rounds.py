"""Give every tool of a row its turns, interleaved."""

import shutil
import time
from collections import defaultdict
from pathlib import Path

from bench import measure, proof
from bench.measure import Usage
from bench.peers import CP, Places, Tool, program
from bench.rows import Row

# What changed within two seconds of its copy counts as racy and is read again.
UNTIL_NOTHING_IS_RACY_S = 3


Results = dict[Tool, list[Usage]]


def take_turns(row: Row, tools: list[Tool], rounds: int, place: Path) -> Results:
    """Run each of `tools` `rounds` times, so that a slow minute is shared by all."""
    source = place / "source"
    row.make(source)
    turn: _Copy | _Unchanged
    turn = _Unchanged(source, place) if row.unchanged else _Copy(source, place)
    turn.prepare(tools)
    results: Results = defaultdict(list)
    for number in range(rounds):
        first = number % len(tools)
        for tool in tools[first:] + tools[:first]:
            results[tool].append(turn.take(tool))
    return results


class _Copy:
    """A turn into a target that is new and empty."""

    def __init__(self, source: Path, place: Path) -> None:
        self._at = Places(source, place / "target", place / "notes")

    def prepare(self, tools: list[Tool]) -> None:
        """Take one turn that does not count: later ones find programs in memory."""
        for tool in tools[:1]:
            self.take(tool)

    def take(self, tool: Tool) -> Usage:
        """Run `tool`, look whether it did its work, and clear up behind it."""
        at = self._at
        at.target.mkdir()
        at.notes.mkdir()
        if tool.is_ours:  # the catalog is there from the second day on
            measure.run([program("haulage"), "runs"], tool.env(at))
        usage = measure.run(tool.command(at), tool.env(at))
        if tool.copies:
            proof.demand_equal(at.source, at.target, tool.name)
        shutil.rmtree(at.target)
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
        proof.demand_equal(at.source, at.target, tool.name)
        return usage

    def _at(self, tool: Tool) -> Places:
        notes = self._notes / tool.name.replace(" ", "_")
        notes.mkdir(exist_ok=True)
        return Places(self._source, self._target, notes)
