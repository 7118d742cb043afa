"""One active run a dataset, driven by whoever holds its token."""

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text, update

from haulage.catalog import events
from haulage.catalog.datasets import DatasetRow
from haulage.catalog.db.engine import Catalog
from haulage.catalog.db.tables import RunTable
from haulage.catalog.manifests.reader import ManifestWriter
from haulage.catalog.runs import runs
from haulage.catalog.runs.driver import Driver
from haulage.catalog.runs.runs import LEASE_S, Run, RunState
from haulage.errors import LostRunError, RefusedError
from tests.catalogs import manifest_table


def test_a_run_begins_active_driven_and_on_the_current_manifest(
    catalog: Catalog, run: Run
) -> None:
    assert run.state is RunState.ACTIVE
    assert run.driver == Driver.here()
    assert run.base_manifest_id is None
    assert len(run.temp_token) == 12
    assert abs(datetime.now(UTC) - run.started_at) < timedelta(hours=1)
    assert run.id.startswith(f"{run.started_at:%Y%m%dT}")
    assert runs.is_driven(catalog, run)
    assert runs.find(catalog, run.id) == run


def test_a_second_run_of_the_same_dataset_is_refused(
    catalog: Catalog, run: Run, home: DatasetRow
) -> None:
    with pytest.raises(RefusedError, match=f"run {run.id}.*is active.*wait for it"):
        runs.begin(catalog, home.dataset, trigger="test")


def test_of_two_that_begin_at_once_one_is_refused(
    catalog: Catalog, home: DatasetRow
) -> None:
    def begin(trigger: str) -> Run | RefusedError:
        try:
            return runs.begin(catalog, home.dataset, trigger=trigger)
        except RefusedError as err:
            return err

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(begin, "abcd"))
    begun = [one for one in results if isinstance(one, Run)]
    assert begun == [runs.active(catalog, home.id)]


def test_a_run_that_ended_makes_room_for_the_next(
    catalog: Catalog, run: Run, home: DatasetRow
) -> None:
    runs.end(catalog, run, RunState.DONE, {"files": 3})
    ended = runs.find(catalog, run.id)
    assert (ended.state, ended.summary) == (RunState.DONE, {"files": 3})
    assert ended.ended_at is not None
    assert not runs.is_driven(catalog, ended)
    assert runs.active(catalog, home.id) is None
    following = runs.begin(catalog, home.dataset, trigger="test", flow_run_id="f-1")
    assert [one.id for one in runs.recent(catalog)] == [following.id, run.id]
    assert [one.id for one in runs.recent(catalog, home.id, 1)] == [following.id]
    assert runs.recent(catalog, home.id + 1) == []
    assert runs.by_flow_run(catalog, "f-1") == following
    assert runs.by_flow_run(catalog, "f-2") is None


def test_a_run_is_found_by_a_unique_part_of_its_id(catalog: Catalog, run: Run) -> None:
    assert runs.find(catalog, run.id[-6:]) == run
    assert runs.find(catalog, run.id[:10]) == run
    for wrong in ("", "%", "nothing"):
        with pytest.raises(RefusedError, match="no run"):
            runs.find(catalog, wrong)


def test_a_part_of_an_id_that_fits_two_runs_is_refused(
    catalog: Catalog, run: Run, home: DatasetRow
) -> None:
    runs.end(catalog, run, RunState.DONE, {})
    runs.begin(catalog, home.dataset, trigger="test")
    with pytest.raises(RefusedError, match=f"not unique.*{run.id}"):
        runs.find(catalog, run.id[:4])


def test_a_token_that_was_taken_over_is_void(catalog: Catalog, run: Run) -> None:
    taken = runs.take_over(catalog, run)
    assert (taken.id, taken.temp_token) == (run.id, run.temp_token)
    assert taken.token != run.token
    with pytest.raises(LostRunError, match=run.id):
        runs.heartbeat(catalog, run)
    with pytest.raises(LostRunError):
        runs.end(catalog, run, RunState.DONE, {})
    with pytest.raises(RefusedError, match="cannot be taken over"):
        runs.take_over(catalog, run)
    runs.heartbeat(catalog, taken)


def test_a_failed_run_becomes_active_again(catalog: Catalog, run: Run) -> None:
    runs.end(catalog, run, RunState.FAILED, {"why": "full"})
    taken = runs.take_over(catalog, runs.find(catalog, run.id))
    assert (taken.state, taken.ended_at) == (RunState.ACTIVE, None)


@pytest.mark.parametrize("state", [RunState.DONE, RunState.SUPERSEDED])
def test_a_closed_run_is_not_taken_over(
    catalog: Catalog, run: Run, state: RunState
) -> None:
    runs.end(catalog, run, state, {})
    with pytest.raises(RefusedError, match="done or superseded"):
        runs.take_over(catalog, run)


def test_a_failed_run_is_not_taken_over_beside_an_active_one(
    catalog: Catalog, run: Run, home: DatasetRow
) -> None:
    runs.end(catalog, run, RunState.FAILED, {})
    following = runs.begin(catalog, home.dataset, trigger="test")
    with pytest.raises(RefusedError, match=following.id):
        runs.take_over(catalog, run)


def test_a_failed_run_that_another_has_overtaken_is_not_taken_over(
    catalog: Catalog, run: Run, home: DatasetRow
) -> None:
    runs.end(catalog, run, RunState.FAILED, {})
    following = runs.begin(catalog, home.dataset, trigger="test")
    writer = ManifestWriter(catalog, following)
    writer.add(manifest_table([b"a"]))
    writer.commit()
    runs.end(catalog, following, RunState.DONE, {})
    with pytest.raises(RefusedError, match="later run has committed"):
        runs.take_over(catalog, run)


def test_a_heartbeat_stores_counts_and_the_databases_time(
    catalog: Catalog, run: Run
) -> None:
    runs.heartbeat(catalog, run, {"bytes": 1 << 40})
    beaten = runs.find(catalog, run.id)
    assert beaten.counts == {"bytes": 1 << 40}
    assert beaten.heartbeat_at > run.heartbeat_at
    runs.heartbeat(catalog, run)
    assert runs.find(catalog, run.id).counts == beaten.counts


def test_a_local_driver_that_died_does_not_drive(
    catalog: Catalog, run: Run, home: DatasetRow
) -> None:
    with subprocess.Popen(["true"]) as process:
        process.wait()
    _driven_by(catalog, replace(run.driver, pid=process.pid))
    assert not runs.is_driven(catalog, run)
    _driven_by(catalog, replace(run.driver, pid=os.getpid(), pid_started=1))
    assert not runs.is_driven(catalog, run)
    with pytest.raises(RefusedError, match="interrupted; resume it"):
        runs.begin(catalog, home.dataset, trigger="test")


def test_a_driver_elsewhere_is_believed_for_the_lease(
    catalog: Catalog, run: Run
) -> None:
    _driven_by(catalog, Driver("elsewhere", 1, 1))
    assert runs.is_driven(catalog, run)
    old = run.heartbeat_at - timedelta(seconds=LEASE_S + 1)
    stored = old if catalog.engine.name == "postgresql" else old.isoformat()
    with catalog.begin() as connection:
        aged = text("UPDATE runs SET heartbeat_at = :old")
        connection.execute(aged, {"old": stored})
    assert not runs.is_driven(catalog, run)


def test_events_tell_who_did_what_in_order(catalog: Catalog, run: Run) -> None:
    events.note(catalog, run.id, "approved", {"deletes": 3}, who="ann")
    events.note(catalog, run.id, "odd \0 \udcff", {"name": "\0\udcff"})
    events.note(catalog, None, "pruned", {})
    first, second = events.of_run(catalog, run.id)
    assert (first.what, first.who, first.detail) == ("approved", "ann", {"deletes": 3})
    assert second.what == r"odd \x00 \udcff"
    assert second.detail == {"name": "\0\udcff"}


def _driven_by(catalog: Catalog, driver: Driver) -> None:
    statement = update(RunTable).values(
        driver_host=driver.host,
        driver_pid=driver.pid,
        driver_pid_started=driver.pid_started,
    )
    with catalog.begin() as connection:
        connection.execute(statement)


def test_all_runs_are_told_once_from_the_newest_on_though_some_began_at_once(
    catalog: Catalog, home: DatasetRow
) -> None:
    when = datetime(2026, 3, 4, 5, 6, 7, 120_000, tzinfo=UTC)
    for number in range(45):
        begun = runs.begin(catalog, home.dataset, trigger="test")
        runs.end(catalog, begun, RunState.DONE, {})
        started = when + timedelta(milliseconds=number // 9)
        statement = update(RunTable).where(RunTable.id == begun.id)
        with catalog.begin() as connection:
            connection.execute(statement.values(started_at=started))
    told = list(runs.all_of(catalog, home.id))
    assert len(told) == 45
    assert told == runs.recent(catalog, home.id, 99)
