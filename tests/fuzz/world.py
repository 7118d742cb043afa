"""A source, a target and a catalog, and Haulage called in this process.

A command's start costs more than a night of a small tree; what is called is the same.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from haulage.cli.main import NOTHING_DONE, main
from tests.e2e.place import Ended, Place
from tests.e2e.processes import kill, of_place, start, wait_until
from tests.fuzz.history import Fate, Night
from tests.fuzz.scene import KEEPER, TREES, quoted

_OF_HAULAGE = b".haulage-"  # begins what Haulage keeps at the root of a target
_DAY_S = 120
GUEST = b"guest"
Stats = dict[bytes, os.stat_result]


@dataclass(frozen=True)
class World:
    """A place, and nights in it."""

    place: Place

    @classmethod
    def made_in(cls, root: Path, keeper: str = "keeper") -> "World":
        """Make an empty source and what stands beside it."""
        place = Place(root, f"sqlite:///{root}/catalog.db", root / "source", "fuzz")
        for name in ("source", "target", "outside", "away", "home"):
            (root / name).mkdir(parents=True)
        (root / "outside" / "file").write_bytes(b"outside")
        above = place.source / os.fsdecode(KEEPER)
        above.mkdir()
        for number in range(9):
            (above / f"{keeper}{number}").write_bytes(b"kept")
        for tree in TREES[1:]:
            (place.source / os.fsdecode(tree)).mkdir()
        return cls(place)

    def pass_day(self, night: Night) -> None:
        """Do what the day does; lines that fail are a part of it."""
        shell(self.place.source, night.day)
        shell(self.place.target, map(invited, night.guests))

    def dismiss(self, night: Night) -> None:
        """Remove the guests, so that their directories are as they were."""
        shell(self.place.target, map(dismissed, night.guests))

    def words(self, command: str, night: Night) -> list[str]:
        """Return the command line of a night."""
        return [
            command,
            *(str(self.place.source), str(self.place.target)),
            *("--name", self.place.name, "--json"),
            *night.options,
        ]

    def call(self, *words: str) -> Ended:
        """Run a command in this process."""
        with _environment(self.place), _caught() as said:
            try:
                code = main(words)
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else NOTHING_DONE
        return Ended(code, *map(_all_of, said))

    def run(self, night: Night) -> Ended:
        """Run the night's sync, with the fate that it has."""
        words = self.words("sync", night)
        if night.fate is Fate.PEACE:
            return self.call(*words)
        process = start(self.place, *words)
        try:
            out, err = process.communicate(timeout=night.killed_after_s)
            return Ended(process.returncode, out, err)
        except subprocess.TimeoutExpired:
            kill(process.pid)
            process.communicate()
        wait_until(lambda: not of_place(self.place))
        if night.fate is Fate.RESUMED and (run := self._unfinished()):
            return self.call("resume", run, "--json")
        return self.call(*words)

    def _unfinished(self) -> str | None:
        """Return the run that was killed; none if it had not begun, or was over."""
        told = self.call("runs", self.place.name, "--limit", "1", "--json")
        rows = told.lines() if told.code == 0 else []
        return rows[0]["run"] if rows and rows[0]["state"] == "interrupted" else None


def is_own(path: bytes) -> bool:
    """Tell whether a path of the target is what Haulage keeps there for itself."""
    return path.startswith(_OF_HAULAGE)


def invited(directory: bytes) -> str:
    """Return the line that puts a foreign file into a directory of the target."""
    path, above = quoted(guest_in(directory)), quoted(directory)
    return f"touch -r {above} ../stamp && printf 1 > {path}; touch -r ../stamp {above}"


def dismissed(directory: bytes) -> str:
    """Return the line that removes it again."""
    path, above = quoted(guest_in(directory)), quoted(directory)
    return f"touch -r {above} ../stamp && rm -f {path}; touch -r ../stamp {above}"


def guest_in(directory: bytes) -> bytes:
    return directory + b"/" + GUEST if directory else GUEST


def rest() -> None:
    """Wait until nothing counts as young any more."""
    time.sleep(2.1)


def shell(directory: Path, lines: "Iterator[str] | tuple[str, ...]") -> None:
    """Run lines of bash in a directory."""
    text = "\n".join(lines)
    if text:
        subprocess.run(
            ["bash"],
            input=os.fsencode(text),
            cwd=directory,
            env={**os.environ, "LC_ALL": "C"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
            timeout=_DAY_S,
        )


@contextmanager
def _environment(place: Place) -> Iterator[None]:
    """Give this process the place's environment, and its own back."""
    before = dict(os.environ)
    os.environ.update(place.environment())
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def _caught() -> Iterator[list[int]]:
    """Give files with what a command writes; leave nothing changed that it changes.

    It writes to the descriptors, whatever `sys.stdout` is.
    """
    streams, numbers = (sys.stdout, sys.stderr), (signal.SIGTERM, signal.SIGHUP)
    handlers = [signal.getsignal(number) for number in numbers]
    kept = [os.dup(fd) for fd in (1, 2)]
    said = [os.memfd_create("said") for _ in kept]
    for fd, memory in enumerate(said, 1):
        os.dup2(memory, fd)
    try:
        yield said
    finally:
        sys.stdout, sys.stderr = streams
        for fd, old in enumerate(kept, 1):
            os.dup2(old, fd)
            os.close(old)
        for number, handler in zip(numbers, handlers, strict=True):
            signal.signal(number, handler)


def _all_of(fd: int) -> bytes:
    with open(fd, "rb") as file:
        file.seek(0)
        return file.read()
