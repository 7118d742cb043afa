"""A source, a target and a catalog of a test's own, and Haulage at work on them."""

import json
import os
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from haulage.catalog import datasets, failures
from haulage.catalog.db.engine import Catalog, open_catalog
from haulage.catalog.deletes import tombstones
from haulage.catalog.failures import Failure
from haulage.catalog.manifests.reader import Manifest
from haulage.catalog.runs import runs, shards
from haulage.catalog.runs.runs import Run
from haulage.config.policy import Dataset, Once, Policy
from haulage.run import sequence
from haulage.run.context.runner import Summary, TaskRunner, ThreadRunner
from tests.catalogs import migrate_early
from tests.e2e import warm
from tests.trees.walk import below, opened

COMMAND = Path(sys.executable).with_name("haulage")
PROJECT = Path(__file__).parents[2]
NOBODY = 65_534
AS_NOBODY = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
GUARDED: dict[str, Any] = {"delete": "guarded", "guards": {"max_share": 1}}
GUARDED_OPTIONS = ("--delete", "guarded", "--max-delete-share", "1")
FEW = {"movers": 1, "listers": 1}
_YOUNG_S = 2.1  # what is younger is looked at twice, so that no late edit is missed

_ONLY_ONCE = Once.model_fields.keys() - Policy.model_fields.keys()

_opened: list[Catalog] = []


def close_catalogs() -> None:
    """Close every catalog that a place has opened."""
    while _opened:
        _opened.pop().engine.dispose()


@dataclass(frozen=True)
class Place:
    """Where one test works. `name` is the dataset that `sync` stands for; with
    `nobodys_python`, an interpreter, commands run as nobody."""

    root: Path
    catalog_url: str
    source: Path
    name: str = "tree"
    nobodys_python: str | None = None

    @property
    def target(self) -> Path:
        """Return the directory that becomes equal to the source."""
        return self.root / "target"

    @property
    def home(self) -> Path:
        """Return what $HAULAGE_HOME is here."""
        return self.root / "home"

    def environment(self) -> dict[str, str]:
        """Return what a command of this place is to see."""
        mine = {
            "HAULAGE_HOME": str(self.home),
            "HAULAGE_CATALOG": self.catalog_url,
            "COLUMNS": "200",
        }
        if self.nobodys_python:
            mine["PYTHONPATH"] = f"{PROJECT}:{sysconfig.get_path('purelib')}"
        return {**os.environ, **mine}

    def command(self, *words: str | Path) -> list[str]:
        """Return the command line of `haulage` with these words."""
        program = [str(COMMAND)]
        if self.nobodys_python:
            program = [*AS_NOBODY, self.nobodys_python, "-m", "haulage.cli.main"]
        return [*program, *map(str, words)]

    def haulage(self, *words: str | Path) -> "Ended":
        """Run `haulage` as a user would, to its end; its imports are done already."""
        environment = self.environment()
        if self.nobodys_python or not warm.would_start_alike(environment):
            return self.haulage_from_start(*words)
        texts = list(map(str, words))
        return Ended(*warm.run(texts, environment, self.root))

    def haulage_from_start(self, *words: str | Path) -> "Ended":
        """Run `haulage` by an interpreter that starts for it."""
        done = subprocess.run(
            self.command(*words),
            env=self.environment(),
            cwd=self.root,
            capture_output=True,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    def sync_by_command(self, *options: str) -> "Ended":
        """Run `haulage sync --json` on the source and the target."""
        return self.haulage(
            "sync", self.source, self.target, "--name", self.name, "--json", *options
        )

    def sync(self, runner: TaskRunner | None = None, **policy: Any) -> Summary:
        """Sync in this process, with few movers where nothing else is asked for."""
        once = {name: policy.pop(name) for name in _ONLY_ONCE & policy.keys()}
        migrate_early(self.catalog_url)
        return sequence.sync(
            self.dataset(**policy),
            runner or ThreadRunner(),
            once=Once.model_validate(once),
            catalog_url=self.catalog_url,
        )

    def dataset(self, **policy: Any) -> Dataset:
        """Return the dataset with this policy."""
        return Dataset(
            name=self.name,
            source=str(self.source),
            target=str(self.target),
            policy=Policy.model_validate({**FEW, **policy}),
        )

    def catalog(self) -> Catalog:
        """Open the catalog; it is closed with the test."""
        _opened.append(open_catalog(self.catalog_url))
        return _opened[-1]

    def last_run(self) -> Run:
        """Return the newest run."""
        return runs.recent(self.catalog(), None, 1)[0]

    def failures(self) -> dict[bytes, Failure]:
        """Return the failures of the newest run by their paths."""
        catalog = self.catalog()
        run = runs.recent(catalog, None, 1)[0]
        return {failure.path: failure for failure in failures.of_run(catalog, run.id)}

    def deleted(self) -> set[bytes]:
        """Return the tombstones of the newest run."""
        catalog = self.catalog()
        run = runs.recent(catalog, None, 1)[0]
        return {stone.path for stone in tombstones.of_run(catalog, run.id)}

    def manifest(self) -> dict[bytes, Mapping[str, Any]]:
        """Return the entries of the current manifest by their paths."""
        catalog = self.catalog()
        pages = Manifest(catalog, datasets.find(catalog, self.name).manifest_id)
        rows = (row for page in pages.tables() for row in page.to_pylist())
        return {row["path"]: row for row in rows}

    def shards_of(self, run_id: str) -> list[shards.Shard]:
        """Return all shards of a run."""
        return shards.listed(self.catalog(), run_id)

    def with_source(self, source: Path) -> "Place":
        """Return this place with another source."""
        return replace(self, source=source)


@dataclass(frozen=True)
class Ended:
    """How a command ended and what it said."""

    code: int
    out: bytes
    err: bytes

    @property
    def text(self) -> str:
        """Return what it said on standard error."""
        return self.err.decode()

    def lines(self) -> list[dict[str, Any]]:
        """Return each line of standard output, read as JSON."""
        return [json.loads(line) for line in self.out.splitlines()]

    def summary(self) -> dict[str, Any]:
        """Return the summary that ends the output."""
        assert self.out, self.text
        return self.lines()[-1]


def grow_old() -> None:
    """Wait until nothing that was made up to now counts as young."""
    time.sleep(_YOUNG_S)


def write(file: Path, content: bytes = b"content") -> Path:
    """Make a file, and the directories above it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file


def paths_in(root: Path) -> set[bytes]:
    """Return the paths of all that is below `root`."""
    with opened(os.fsencode(root)) as fd:
        return {path for path, _ in below(fd)}


def stats_in(root: Path) -> dict[bytes, os.stat_result]:
    """Return what is known of all that is below `root`, by path."""
    with opened(os.fsencode(root)) as fd:
        return dict(below(fd))


class Before(ThreadRunner):
    """A crew that does something right before a step of this name."""

    def __init__(self, step: str, deed: Callable[[], object]) -> None:
        super().__init__()
        self._step = step
        self._deed = deed

    def call(self, name: str, work: Callable[[], Any]) -> Any:
        if name == self._step:
            self._deed()
        return super().call(name, work)
