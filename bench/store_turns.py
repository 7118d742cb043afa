"""A tool's turn between a directory and a bucket."""

import shutil
import time
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

from bench import measure, proof
from bench.clients import S3, environment_of
from bench.measure import Usage
from bench.objects import BUCKET, Objects
from bench.peers import Places, Tool, program
from bench.rounds import UNTIL_NOTHING_IS_RACY_S
from tests.servers.s3 import S3Server

SEED = f"{S3}{BUCKET}/source"  # the objects that are copied to a directory


class Way(Enum):
    """Which way the data go; its text stands in a table's title."""

    UP = "directory to bucket"
    DOWN = "bucket to directory"


@dataclass(frozen=True, slots=True)
class Scene:
    """Where the data are, and by which address tools reach the server."""

    place: Path
    objects: Objects
    server: S3Server
    way: Way

    def places(self, name: str) -> Places:
        """Return where the tool that `name` stands for reads and writes."""
        source, target = str(self.place / "source"), f"{S3}{BUCKET}/{name}"
        if self.way is Way.DOWN:
            source, target = SEED, str(self.place / name)
        notes = self.place / f"{name}.{self.way.name}.notes"
        return Places(source, target, notes, environment_of(self.server))

    def open(self, at: Places, tool: Tool) -> None:
        """Make what `tool` is to find."""
        at.notes.mkdir()
        if self.way is Way.DOWN:
            Path(at.target).mkdir()
        if tool.is_ours:  # the catalog is there from the second day on
            measure.run([program("haulage"), "runs"], tool.env(at))

    def demand_equal(self, at: Places, tool: Tool) -> None:
        """Raise RuntimeError unless all is there; attributes some tools do not keep."""
        source = self.place / "source"
        if self.way is Way.UP:
            self.objects.demand_equal(source, at.target, tool.name)
        else:
            proof.demand_equal(source, Path(at.target), tool.name, attributes=False)

    def snapshot(self, at: Places) -> dict[str, tuple[object, ...]]:
        """Return what would differ if anything at the target were written again."""
        if self.way is Way.UP:
            return dict(self.objects.below(at.target))
        return {
            name: _identity(Path(at.target, name))
            for name in proof.names(Path(at.target))
        }

    def clear(self, at: Places) -> None:
        """Remove target and notes."""
        if self.way is Way.UP:
            self.objects.clear(at.target)
        else:
            shutil.rmtree(at.target)
        shutil.rmtree(at.notes)


def _identity(path: Path) -> tuple[object, ...]:
    status = path.lstat()
    return status.st_ino, status.st_size, status.st_mtime_ns


class Transfer:
    """A turn into a target that is new and empty."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    def prepare(self, tools: list[Tool]) -> None:
        """Take one turn that does not count: later ones find programs in memory."""
        for tool in tools[:1]:
            self.take(tool)

    def take(self, tool: Tool) -> Usage:
        """See Turn."""
        at = self._scene.places("target")
        self._scene.open(at, tool)
        usage = measure.run(tool.command(at), tool.env(at))
        self._scene.demand_equal(at, tool)
        self._scene.clear(at)
        return usage


class Unchanged:
    """A turn over a target of the tool's own, that its first run has made equal."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._before: dict[Tool, dict[str, tuple[object, ...]]] = {}

    def prepare(self, tools: list[Tool]) -> None:
        """Let every tool make its target equal."""
        for tool in tools:
            at = self._at(tool)
            self._scene.open(at, tool)
            measure.run(tool.command(at), tool.env(at))
            self._scene.demand_equal(at, tool)
            self._before[tool] = self._scene.snapshot(at)
        time.sleep(UNTIL_NOTHING_IS_RACY_S)

    def reach(self, server: S3Server) -> None:
        """Let the next turns go to the same server by another address."""
        self._scene = replace(self._scene, server=server)

    def take(self, tool: Tool) -> Usage:
        """See Turn; nothing may have been written again."""
        at = self._at(tool)
        usage = measure.run(tool.command(at), tool.env(at))
        now = self._scene.snapshot(at)
        if now != self._before[tool]:
            changed = set(now.items()) ^ set(self._before[tool].items())
            names = sorted({name for name, _ in changed})
            raise RuntimeError(
                f"{tool.name} wrote {len(names):,} entries again that were equal, such "
                f"as {names[0]}"
            )
        return usage

    def _at(self, tool: Tool) -> Places:
        return self._scene.places(tool.name.replace(" ", "_").strip("-"))
