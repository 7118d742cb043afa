"""Time the catalog when it is full: years of nights of many datasets, on two databases.

All rows are made by SQL from those of one night; what is timed goes through the doors
that runs go through.
"""

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

from sqlalchemy import text

from bench.peers import program
from haulage.catalog import datasets
from haulage.catalog.db.engine import Catalog, open_catalog
from haulage.catalog.manifests.pruning import KEPT_VERSIONS, prune_manifests
from haulage.catalog.manifests.reader import ManifestWriter
from haulage.catalog.retention import prune_runs
from haulage.catalog.runs import attempts as attempt_records
from haulage.catalog.runs import runs, shards
from haulage.catalog.runs.runs import Run, RunState
from haulage.config.limits import Keep
from haulage.config.policy import Dataset
from haulage.model import Pass
from tests.catalogs import manifest_table, new_shard
from tests.postgres import running

SHARDS_A_NIGHT = 4
SHARDS_OF_A_LARGE_RUN = 10_000
_FINISHED = 500  # of those
_PAGE_ENTRIES = 1000
_COPIES = Path(__file__).with_name("catalog.sql")
_DAYS_AGO = {
    "sqlite": "strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-' || n.i || ' days')",
    "postgresql": "now() - n.i * interval '1 day'",
}


def report(sets: int, nights: int) -> str:
    """Return a table of how long each thing takes with so many datasets and nights."""
    found = {"SQLite": _on_sqlite(sets, nights), "Postgres": _on_postgres(sets, nights)}
    title = f"{sets:,} datasets, {nights:,} nights each of {SHARDS_A_NIGHT} shards"
    lines = [f"| {title} | {' | '.join(found)} |", f"| --- |{' --: |' * len(found)}"]
    for name in next(iter(found.values())):
        cells = [taken[name] for taken in found.values()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    load = os.getloadavg()[0]
    return "\n".join([*lines, "", f"(load of the machine at the end: {load:.1f})", ""])


def _on_sqlite(sets: int, nights: int) -> dict[str, str]:
    with tempfile.TemporaryDirectory(prefix="haulage-bench-") as place:
        file = Path(place) / "catalog.db"
        with open_catalog(f"sqlite:///{file}") as catalog:
            return _measured(catalog, sets, nights, lambda: file.stat().st_size)


def _on_postgres(sets: int, nights: int) -> dict[str, str]:
    with running() as server, open_catalog(server.fresh_database()) as catalog:

        def size() -> int:
            with catalog.read() as connection:
                wanted = text("SELECT pg_database_size(current_database())")
                return int(connection.execute(wanted).scalar_one())

        return _measured(catalog, sets, nights, size)


def _measured(
    catalog: Catalog, sets: int, nights: int, size: Callable[[], int]
) -> dict[str, str]:
    found: dict[str, str] = {}
    _fill(catalog, sets, nights)
    found["size"] = f"{size() / (1 << 20):,.0f} MiB"
    with _timed(found, "`haulage status` of all"):
        _status(catalog)
    with _timed(found, "`haulage status` of one"):
        _status(catalog, "d1")
    _large_run(catalog, found)
    _prune(catalog, found)
    return found


@contextmanager
def _timed(found: dict[str, str], name: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    found[name] = f"{time.perf_counter() - began:.2f} s"


def _status(catalog: Catalog, *words: str) -> None:
    command = [program("haulage"), "status", *words, "--catalog", catalog.url]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _fill(catalog: Catalog, sets: int, nights: int) -> None:
    """Make one night, and all others as copies of it."""
    asked = Dataset(name="d0", source="/data/d0", target="/backup/d0")
    run = runs.begin(catalog, asked, trigger="bench")
    _finish(catalog, run, _sealed(catalog, run, SHARDS_A_NIGHT))
    _write(catalog, run, _PAGE_ENTRIES)
    runs.end(catalog, run, RunState.DONE, {"copied": 1000, "failed": 0, "notes": []})
    ago = _DAYS_AGO[catalog.engine.dialect.name]
    given = {"first": run.id, "sets": sets, "nights": nights, "versions": KEPT_VERSIONS}
    with catalog.begin() as connection:
        for statement in _COPIES.read_text().replace("{ago}", ago).split(";"):
            wanted = {name: given[name] for name in given if f":{name}" in statement}
            connection.execute(text(statement), wanted)
        connection.execute(text("ANALYZE"))


def _sealed(catalog: Catalog, run: Run, count: int) -> list[shards.Shard]:
    return shards.seal(catalog, run, [new_shard(seq) for seq in range(count)])


def _finish(catalog: Catalog, run: Run, some: list[shards.Shard]) -> None:
    for attempt in attempt_records.start(catalog, run, some, "here"):
        outcome = f"outcomes/{attempt.token}.parquet"
        attempt_records.finish(catalog, attempt, outcome, {"copied": 10, "bytes": 1000})


def _write(catalog: Catalog, run: Run, entries: int) -> None:
    writer = ManifestWriter(catalog, run)
    writer.add(manifest_table([b"dir/%08d" % number for number in range(entries)]))
    writer.commit()


def _large_run(catalog: Catalog, found: dict[str, str]) -> None:
    row = datasets.find(catalog, "d1")
    run = runs.begin(catalog, row.dataset, trigger="bench")
    with _timed(found, f"a run seals {SHARDS_OF_A_LARGE_RUN:,} shards"):
        sealed = _sealed(catalog, run, SHARDS_OF_A_LARGE_RUN)
    with _timed(found, f"starts and finishes {_FINISHED} of them, each by itself"):
        _finish(catalog, run, sealed[:_FINISHED])
    with _timed(found, "asks which of them failed in any entry"):
        assert not shards.counting(catalog, run.id, [Pass.COPY], [0], ["failed"])
    with _timed(found, "reads all of them"):
        assert len(shards.listed(catalog, run.id)) == SHARDS_OF_A_LARGE_RUN
    with _timed(found, "commits a page of 50,000 entries"):
        _write(catalog, run, 50_000)
    runs.end(catalog, run, RunState.DONE, {"copied": 1, "failed": 0, "notes": []})


def _prune(catalog: Catalog, found: dict[str, str]) -> None:
    row = datasets.find(catalog, "d1")
    with _timed(found, "its old version is removed"):
        gone = sum(prune_manifests(catalog, row.id))
    assert gone == 1
    ends = [time.perf_counter()]
    with _timed(found, "its nights are removed, 50 at most"):
        gone = 0
        for count in prune_runs(catalog, row.id, Keep(days=30, runs=30)):
            gone += count
            ends.append(time.perf_counter())
    longest = max((after - before for before, after in pairwise(ends)), default=0)
    found["the longest transaction of that"] = f"{longest:.3f} s ({gone} nights)"
