"""A database that goes away in the middle: nothing is done twice, or lost."""

import random
import shutil
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from haulage.catalog import datasets, events, failures
from haulage.catalog.db import engine
from haulage.catalog.db.engine import Catalog, open_catalog
from haulage.catalog.db.tables import AttemptTable, EventTable, RunTable
from haulage.catalog.deletes import tombstones
from haulage.catalog.deletes.tombstones import Tombstone
from haulage.catalog.failures import Failure
from haulage.catalog.manifests.reader import Manifest, ManifestWriter, versions
from haulage.catalog.runs import attempts as attempt_records
from haulage.catalog.runs import runs, shards
from haulage.catalog.runs.runs import RunState
from haulage.catalog.runs.shards import ShardState
from haulage.config.policy import Dataset
from haulage.errors import AwayError
from haulage.model import Pass
from tests.catalogs import manifest_table, new_shard, recorded
from tests.cutting import Cutter, cutter
from tests.postgres import PostgresServer


@pytest.fixture
def way(postgres: PostgresServer) -> Iterator[Cutter]:
    """Give a way to the server that can be cut."""
    here = Path(tempfile.mkdtemp(prefix="haulage-cut-"))
    with cutter(postgres.socket_dir, here) as made:
        yield made
    shutil.rmtree(here)


@pytest.fixture
def cut_catalog(way: Cutter, postgres: PostgresServer) -> Iterator[Catalog]:
    """Return an empty catalog that is reached that way."""
    url = postgres.fresh_database().replace(
        str(postgres.socket_dir), str(way.directory)
    )
    with open_catalog(url) as catalog:
        yield catalog


@pytest.mark.parametrize("arrives", [True, False], ids=["arrived", "lost"])
@pytest.mark.parametrize("seed", [1, 2])
def test_every_change_of_state_happens_once_though_commits_are_cut_off(
    way: Cutter, cut_catalog: Catalog, arrives: bool, seed: int
) -> None:
    catalog = cut_catalog
    dice = random.Random(seed)
    way.arrives, way.cuts = arrives, lambda _: dice.random() < 0.35
    asked = Dataset(name="home", source="/data/home", target="/backup/home")
    row = recorded(catalog, asked)
    run = runs.begin(catalog, row.dataset, trigger="test")
    sealed = shards.seal(catalog, run, [new_shard(seq) for seq in range(3)])
    attempts = attempt_records.start(catalog, run, sealed, "here")
    assert [attempt.shard.id for attempt in attempts] == [one.id for one in sealed]
    assert attempt_records.finish(catalog, attempts[0], "outcome", {"copied": 10})
    assert attempt_records.lose(catalog, attempts[1], "it died", give_up=False)
    assert attempt_records.lose(catalog, attempts[2], "it died", give_up=True)
    (again,) = attempt_records.start(catalog, run, sealed, "here")
    assert again.dead_tokens == (attempts[1].token,)
    assert attempt_records.finish(catalog, again, "outcome", {"copied": 10})
    tombstones.add(catalog, run, "test", [Tombstone(b"a", 1, 1)])
    failures.add(catalog, run, [Failure(b"b", "copy", "failed", "p", 5, "before")])
    failures.forget(catalog, run)
    failures.add(catalog, run, [Failure(b"a", "copy", "failed", "p", 5, "why")])
    events.note(catalog, run.id, "what", {})
    writer = ManifestWriter(catalog, run)
    writer.add(manifest_table([b"a", b"b"]))
    made = writer.commit()
    runs.end(catalog, run, RunState.DONE, {})
    assert way.was_cut >= 3
    way.cuts = lambda _: False
    assert_once(catalog, run.id, made)


def assert_once(catalog: Catalog, run_id: str, made: int) -> None:
    row = datasets.find(catalog, "home")
    assert row.manifest_id == made
    assert [version.id for version in versions(catalog, row.id)] == [made]
    assert Manifest(catalog, made).entries == 2
    found = shards.listed(catalog, run_id, pass_=Pass.COPY)
    done, failed = ShardState.DONE, ShardState.FAILED
    assert [shard.state for shard in found] == [done, done, failed]
    assert [shard.attempts for shard in found] == [1, 2, 1]
    assert len(failures.of_run(catalog, run_id)) == 1
    assert len(tombstones.of_run(catalog, run_id)) == 1
    for table, rows in ((RunTable, 1), (AttemptTable, 4), (EventTable, 1)):
        with catalog.read() as connection:
            assert connection.scalar(select(func.count()).select_from(table)) == rows
    assert runs.find(catalog, run_id).state is RunState.DONE


def test_what_is_asked_while_the_server_restarts_is_answered_when_it_is_back(
    postgres: PostgresServer, cut_catalog: Catalog
) -> None:
    row = recorded(
        cut_catalog, Dataset(name="home", source="/data/home", target="/backup")
    )
    postgres.stop("fast")
    begun: list[Any] = []
    asks = threading.Thread(
        target=lambda: begun.append(
            runs.begin(cut_catalog, row.dataset, trigger="test")
        )
    )
    asks.start()
    while not cut_catalog.is_away_for_s():
        time.sleep(0.01)
    assert not begun
    postgres.start()
    asks.join()
    assert runs.active(cut_catalog, row.id) == begun[0]


def test_nobody_waits_who_is_in_a_hurry(
    postgres: PostgresServer, cut_catalog: Catalog
) -> None:
    cut_catalog.hurried.set()
    postgres.stop("fast")
    try:
        with pytest.raises(AwayError, match="check that the database is up"):
            events.note(cut_catalog, None, "what", {})
    finally:
        postgres.start()


@pytest.fixture
def impatient_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return where a catalog may be made that waits less for other writers."""
    monkeypatch.setattr(engine, "BUSY_TIMEOUT_S", 0.05)
    return tmp_path / "catalog.db"


def test_a_writer_that_holds_a_sqlite_file_for_long_is_waited_for(
    impatient_file: Path,
) -> None:
    with open_catalog(f"sqlite:///{impatient_file}") as catalog:
        asked = Dataset(name="home", source="/data/home", target="/backup")
        row = recorded(catalog, asked)
        holder = sqlite3.connect(impatient_file, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        begun: list[Any] = []
        asks = threading.Thread(
            target=lambda: begun.append(runs.begin(catalog, asked, trigger="test"))
        )
        asks.start()
        while asks.is_alive() and not catalog.is_away_for_s():
            time.sleep(0.01)
        assert runs.recent(catalog, row.id) == [], "readers wait for nobody"
        holder.execute("ROLLBACK")
        asks.join()
        assert runs.active(catalog, row.id) == begun[0]


def test_who_is_in_a_hurry_is_told_of_the_other_writer(impatient_file: Path) -> None:
    with open_catalog(f"sqlite:///{impatient_file}") as catalog:
        catalog.hurried.set()
        holder = sqlite3.connect(impatient_file, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(AwayError, match="another process keeps writing"):
            events.note(catalog, None, "what", {})
        holder.execute("ROLLBACK")
