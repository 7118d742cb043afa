"""What nothing needs of old runs goes, as a whole; what anything needs stays."""

from datetime import datetime

import pytest
from sqlalchemy import func, select, update

from haulage.catalog import events, failures, results
from haulage.catalog.datasets import DatasetRow
from haulage.catalog.db.engine import Catalog
from haulage.catalog.db.tables import (
    AttemptTable,
    Base,
    EventTable,
    ResultTable,
    RunTable,
    ShardTable,
)
from haulage.catalog.deletes import delete_plans, tombstones, trashes
from haulage.catalog.deletes.tombstones import Tombstone
from haulage.catalog.deletes.trashes import TrashState
from haulage.catalog.failures import Failure
from haulage.catalog.manifests.reader import ManifestWriter
from haulage.catalog.retention import has_forgotten, prune_results, prune_runs
from haulage.catalog.runs import attempts as attempt_records
from haulage.catalog.runs import runs, shards
from haulage.catalog.runs.runs import Run, RunState
from haulage.config.limits import Keep
from haulage.errors import RefusedError
from tests.catalogs import manifest_table, new_shard

LONG_AGO = datetime.fromisoformat("2001-02-03T04:05:06.789+00:00")
KEEP = Keep(days=100, runs=1)


@pytest.fixture
def night(catalog: Catalog, run: Run) -> Run:
    """Return a run of long ago with something in every table."""
    sealed = shards.seal(catalog, run, [new_shard(seq) for seq in range(3)])
    attempt_records.start(catalog, run, sealed, "here")
    failures.add(catalog, run, [Failure(b"b", "copy", "failed", "p", 5, "why")])
    tombstones.add(catalog, run, "test", [Tombstone(b"a", 1, 1)])
    events.note(catalog, run.id, "what", {})
    trashes.note(catalog, run, 3600)
    trash = trashes.of_run(catalog, run.id)
    assert trash is not None
    trashes.close(catalog, run, trash, TrashState.EMPTIED)
    return _ended(catalog, run)


def _ended(catalog: Catalog, run: Run, year: int = 2001) -> Run:
    """End a run as one that began in a year of long ago."""
    runs.end(catalog, run, RunState.FAILED, {})
    began = {"started_at": LONG_AGO.replace(year=year)}
    with catalog.begin() as connection:
        is_it = RunTable.id == run.id
        connection.execute(update(RunTable).where(is_it).values(began))
    return run


def _rows(catalog: Catalog, *tables: type[Base]) -> list[int | None]:
    with catalog.read() as connection:
        counts = (select(func.count()).select_from(table) for table in tables)
        return [connection.scalar(count) for count in counts]


def _pruned(catalog: Catalog, home: DatasetRow, keep: Keep = KEEP) -> int:
    return sum(prune_runs(catalog, home.id, keep))


def test_an_old_run_goes_with_all_that_was_recorded_of_it(
    catalog: Catalog, night: Run, home: DatasetRow
) -> None:
    assert _pruned(catalog, home) == 0, "the newest run stays, however old"
    assert not has_forgotten(catalog, home.id)
    _ended(catalog, runs.begin(catalog, home.dataset, trigger="test"), 2002)
    assert _pruned(catalog, home, Keep(days=36_500, runs=1)) == 0
    assert _pruned(catalog, home, Keep(days=1, runs=2)) == 0
    assert _pruned(catalog, home) == 1
    with pytest.raises(RefusedError, match="no run"):
        runs.find(catalog, night.id)
    assert _rows(catalog, ShardTable, AttemptTable, EventTable) == [0, 0, 0]
    assert failures.of_run(catalog, night.id) == []
    assert tombstones.of_run(catalog, night.id) == []
    assert has_forgotten(catalog, home.id)
    assert _rows(catalog, RunTable) == [1]


@pytest.mark.parametrize("needs", ["pages", "trash", "plan", "nothing"])
def test_a_run_stays_while_anything_needs_it(
    catalog: Catalog, run: Run, home: DatasetRow, needs: str
) -> None:
    if needs == "pages":
        writer = ManifestWriter(catalog, run)
        writer.add(manifest_table([b"a"]))
        writer.commit()
    elif needs == "trash":
        trashes.note(catalog, run, 3600)
    elif needs == "plan":
        delete_plans.record(
            catalog, run, "over the cap", lambda: [manifest_table([b"a"])]
        )
    _ended(catalog, run)
    _ended(catalog, runs.begin(catalog, home.dataset, trigger="test"), 2002)
    assert _pruned(catalog, home) == (needs == "nothing")
    assert _rows(catalog, RunTable) == [1 if needs == "nothing" else 2]


def test_what_is_active_stays(catalog: Catalog, run: Run, home: DatasetRow) -> None:
    _ended(catalog, run, 2002)
    active = runs.begin(catalog, home.dataset, trigger="test")
    with catalog.begin() as connection:
        older = update(RunTable).where(RunTable.id == active.id)
        connection.execute(older.values(started_at=LONG_AGO, number=-1))
    assert _pruned(catalog, home) == 0


def test_old_results_of_flows_go_and_new_ones_stay(catalog: Catalog) -> None:
    results.put(catalog, "old", b"what a flow returned")
    with catalog.begin() as connection:
        connection.execute(update(ResultTable).values(stored_at=LONG_AGO))
    results.put(catalog, "new", b"what a flow returned")
    assert list(prune_results(catalog)) == [0]
    assert results.get(catalog, "new")
    with pytest.raises(RefusedError, match="no result"):
        results.get(catalog, "old")
