"""Nights of a dataset between two file systems, judged entry by entry.

What differs after a night must be what the run told as lost or failed, and nothing is
told that does not differ.
"""

import os
import random
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from haulage.catalog.failures import Failure
from haulage.catalog.runs import runs
from tests.e2e.place import GUARDED, Place, stats_in
from tests.e2e.processes import kill, of_place, outcomes_in, start, wait_until
from tests.trees.compare import MISSING, Aspect, all_differences, leftovers

OPTIONS = (
    *("--name", "tree", "--preserve", "all", "--delete", "guarded"),
    *("--max-delete-share", "1", "--movers", "2", "--shard-entries", "50", "--json"),
)
_SHARD: dict[str, Any] = {"shards": {"max_entries": 200}}
_POLICY = {"preserve": ["all"], "movers": 2, "listers": 2, **GUARDED, **_SHARD}
_LOST_WORDS = {
    r"attribute '": Aspect.XATTRS,
    r"\bACL not kept": Aspect.XATTRS,
    r"\bcapability not kept": Aspect.XATTRS,
    r"\bmtime .* not kept": Aspect.MTIME,
    r"\bhard link to ": Aspect.LINKS,
}
_MOST_KILLS = 5


@dataclass
class Nights:
    """A source and a target, and what earlier nights have told of each entry."""

    place: Place
    target: Path  # itself, not a link to it
    lost: dict[bytes, str] = field(default_factory=dict)

    def sync(self) -> None:
        """Let a night pass as it should, and judge it."""
        summary = self.place.sync(**_POLICY)
        self.judge(summary.exit_code, summary.failed)

    def sync_with_kills(self, dice: random.Random) -> None:
        """Kill some process again and again, and judge what a last resume makes."""
        words = ["sync", str(self.place.source), str(self.place.target), *OPTIONS]
        for _ in range(dice.randint(1, _MOST_KILLS)):
            if _interrupted(self.place, dice, words) in (0, 1):
                break
            newest = next(iter(runs.recent(self.place.catalog(), None, 1)), None)
            if newest is not None and newest.state != "done":
                words = ["resume", newest.id, "--json"]
        else:
            ended = self.place.haulage(*words)
            assert ended.code in (0, 1), ended.text
        told = self.place.last_run().summary or {}
        self.judge(int(str(told["exit_code"])), int(str(told["failed"])))

    def judge(self, exit_code: int, failed: int) -> None:
        """Hold the trees against each other, and what differs against what was told."""
        told = self.place.failures()
        lost = {path: each for path, each in told.items() if each.status == "lost"}
        rest = {path: each for path, each in told.items() if each.status != "lost"}
        assert (exit_code, failed) == (1 if rest else 0, len(rest)), told
        self.lost |= {path: each.reason for path, each in lost.items()}
        found = _by_path(self.place.source, self.target)
        for path, differs in found.items():
            assert differs <= self._expected(path, rest), (path, differs, told)
        untold = {path.rstrip(b"/") for path in told} - found.keys()
        assert untold == set(), {path: told.get(path, path + b"/") for path in untold}
        assert leftovers(self.target) == []
        assert of_place(self.place) == []

    def _expected(self, path: bytes, failed: dict[bytes, Failure]) -> set[str]:
        """Return in what an entry may differ, by what was told of it."""
        if path in failed:
            return {MISSING}
        names = [path, path + b"/" if path else path, *self._kin(path)]
        words = "\n".join(self.lost.get(name, "") for name in names)
        return {
            aspect for lost, aspect in _LOST_WORDS.items() if re.search(lost, words)
        }

    def _kin(self, path: bytes) -> list[bytes]:
        """Return the names of a file: what it has lost is told of one of them."""
        found = stats_in(self.target)
        mine = found.get(path)
        if mine is None or mine.st_nlink == 1:
            return []
        return [name for name, each in found.items() if os.path.samestat(each, mine)]


def _by_path(source: Path, target: Path) -> dict[bytes, set[str]]:
    found: dict[bytes, set[str]] = {}
    for each in all_differences(source, target):
        found.setdefault(each.path, set()).add(each.what)
    return found


def _interrupted(place: Place, dice: random.Random, words: list[str]) -> int:
    """Run a command and kill the driver, a mover or a lister of it somewhere."""
    enough = outcomes_in(place) + dice.randrange(12)
    process = start(place, *words)
    wait_until(lambda: outcomes_in(place) >= enough, process)
    module = dice.choice(["haulage.mover", "haulage.lister", ""])
    found = [pid for pid in of_place(place, module) if module and pid != process.pid]
    kill(dice.choice(found) if found else process.pid)
    _, err = process.communicate()
    assert b"Traceback" not in err, err.decode()
    wait_until(lambda: not of_place(place))
    return process.returncode


def place_between(place: Place, source: Path, target: Path) -> Nights:
    """Return nights from a directory to another, which may be anywhere."""
    for directory in (source, target):
        directory.mkdir()
    os.symlink(target, place.target)
    return Nights(place.with_source(source), target)
