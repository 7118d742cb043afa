"""A run whose host or workspace is away: who may go on with it, and what is lost."""

import os
import shutil
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from sqlalchemy import insert, update

from haulage.catalog.db.tables import AttemptTable, RunTable, ShardTable
from haulage.catalog.runs import runs
from haulage.catalog.runs.runs import LEASE_S, LONG_OVER_S, Run, RunState
from haulage.errors import FatalError, LostRunError, RefusedError
from haulage.model import Verified
from haulage.run import sequence, takeover
from haulage.run.context.runner import ThreadRunner
from tests.e2e.place import Before, Place, grow_old, write
from tests.trees.compare import assert_same, leftovers

LOST = "feedfacecafe"  # the token of an attempt that its mover did not survive


@pytest.fixture
def failed(place: Place) -> tuple[Place, Run]:
    """Return a place where a run has copied all and failed, but for one shard."""
    run = _failed_before(place, "verify")
    _lose_one(place, run)
    return place, run


def _failed_before(place: Place, step: str, **shards: int) -> Run:
    for number in range(40):
        write(place.source / f"d{number % 4}" / f"f{number}", b"%d" % number)
    grow_old()

    def fail() -> None:
        raise FatalError("on purpose")

    with pytest.raises(FatalError):
        place.sync(Before(step, fail), shards={"max_entries": 10, **shards})
    run = place.last_run()
    assert run.state is RunState.FAILED
    return run


def _lose_one(place: Place, run: Run) -> None:
    """Have the second shard be one whose mover died, and what such a one leaves."""
    shard = place.shards_of(run.id)[1]
    again = update(ShardTable).where(ShardTable.id == shard.id)
    row = {"shard_id": shard.id, "number": 9, "token": LOST, "place": "x"}
    with place.catalog().begin() as connection:
        connection.execute(again.values(state="ready", outcome=None, tally={}))
        connection.execute(insert(AttemptTable).values(**row, state="lost"))
    above = place.target / Path(os.fsdecode(shard.first)).parent
    write(above / f".haulage-{LOST}-0")
    (above / f".haulage-{LOST}-0.d").mkdir()


def _elsewhere(place: Place, run: Run, silent_s: float) -> None:
    """Have the run be driven by another host, which is not heard of any more."""
    with place.catalog().begin() as connection:
        change = update(RunTable).where(RunTable.id == run.id)
        values = {"state": RunState.ACTIVE, "driver_host": "another", "ended_at": None}
        then = run.heartbeat_at - timedelta(seconds=silent_s)
        connection.execute(change.values(**values, heartbeat_at=then))


def _from_another_home(place: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("HAULAGE_HOME", str(place.root / "another-home"))
    return place


@pytest.mark.parametrize(
    "goes_on", ["resume", pytest.param("sync", marks=pytest.mark.torture)]
)
def test_a_run_whose_workspace_is_lost_is_done_all_the_same(
    failed: tuple[Place, Run], goes_on: str
) -> None:
    place, run = failed
    shutil.rmtree(place.home / "work")
    words = ("resume", run.id, "--json") if goes_on == "resume" else ()
    ended = place.haulage(*words) if words else place.sync_by_command()
    assert ended.code == 0, ended.text
    assert_same(place.source, place.target)
    assert leftovers(place.target) == []
    assert place.sync_by_command().summary()["unchanged"] == 45


def test_shards_of_another_version_stop_neither_resume_nor_sync(
    failed: tuple[Place, Run],
) -> None:
    place, run = failed
    for file in place.home.glob("work/*/shards/*.parquet"):
        table = pq.read_table(file)
        other = {b"haulage": b'{"format": 1}'}
        pq.write_table(table.replace_schema_metadata(other), file)
    ended = place.haulage("resume", run.id, "--json")
    assert ended.code == 0, ended.text
    assert "started over" in str(ended.summary()["notes"])
    assert_same(place.source, place.target)
    assert leftovers(place.target) == []


def test_a_shard_without_its_outcomes_was_never_done(place: Place) -> None:
    run = _failed_before(place, "commit the manifest")
    done = next(shard for shard in place.shards_of(run.id) if shard.outcome)
    assert done.outcome
    (place.home / "work" / run.id / done.outcome).write_bytes(b"PAR1, cut off")
    ended = place.haulage("resume", run.id, "--json")
    assert ended.code == 0, ended.text
    assert_same(place.source, place.target)
    again = {shard.id: shard for shard in place.shards_of(run.id)}[done.id]
    assert again.attempts == done.attempts + 1


def test_what_was_proven_before_a_power_cut_is_proven_again(place: Place) -> None:
    write(place.source / "large", os.urandom(1 << 20))
    run = _failed_before(place, "commit the manifest")
    lost = place.target / "large"
    found = lost.stat()
    lost.write_bytes(bytes(found.st_size))  # as a file system has it after a cut
    os.utime(lost, ns=(found.st_atime_ns, found.st_mtime_ns))
    with place.catalog().begin() as connection:
        connection.execute(update(RunTable).values(driver_boot="an earlier one"))
    ended = place.haulage("resume", run.id, "--json")
    assert ended.code == 0, ended.text
    assert_same(place.source, place.target)


def test_a_split_file_that_had_its_name_before_a_power_cut_is_not_copied_again(
    place: Place,
) -> None:
    write(place.source / "large", os.urandom(33 << 20))
    run = _failed_before(place, "commit the manifest", max_bytes=1 << 20)
    made = place.target / "large"
    inode = made.stat().st_ino
    os.utime(made, ns=(0, 0))  # its content was forced to disk, its attributes not
    with place.catalog().begin() as connection:
        connection.execute(update(RunTable).values(driver_boot="an earlier one"))
    ended = place.haulage("resume", run.id, "--json")
    assert ended.code == 0, ended.text
    assert made.stat().st_ino == inode
    assert place.manifest()[b"large"]["verified"] == Verified.CHECKSUM
    assert_same(place.source, place.target)


def test_a_run_is_given_up_and_the_next_one_begins_without_it(
    failed: tuple[Place, Run],
) -> None:
    place, run = failed
    for file in place.home.glob("work/*/outcomes/*.parquet"):
        file.write_bytes(b"what nobody can read")
    ended = place.haulage("abandon", run.id)
    assert ended.code == 0, ended.text
    assert runs.find(place.catalog(), run.id).state is RunState.ABANDONED
    assert leftovers(place.target) == []
    assert place.haulage("resume", run.id).code == 2
    assert place.haulage("abandon", run.id).code == 2
    assert place.sync_by_command().code == 0
    assert_same(place.source, place.target)


def test_another_host_waits_until_a_driver_is_long_silent_or_a_person_says_so(
    failed: tuple[Place, Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    place, run = failed
    _from_another_home(place, monkeypatch)
    for silent_s, take_over in ((0, False), (0, True), (LEASE_S + 5, False)):
        _elsewhere(place, run, silent_s)
        with pytest.raises(RefusedError, match=run.id):
            place.sync(take_over=take_over)
        with pytest.raises(RefusedError, match=run.id):
            sequence.resume(run.id, ThreadRunner(), catalog_url=place.catalog_url)
    assert (place.target / "d0").exists()
    assert len(leftovers(place.target)) == 2
    _elsewhere(place, run, LEASE_S + 5)
    assert place.sync(take_over=True).exit_code == 0
    assert runs.find(place.catalog(), run.id).state is RunState.SUPERSEDED
    assert_same(place.source, place.target)
    assert leftovers(place.target) == []


def test_a_lease_that_is_long_over_needs_no_person(
    failed: tuple[Place, Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    place, run = failed
    _elsewhere(place, run, LONG_OVER_S + 5)
    _from_another_home(place, monkeypatch)
    assert place.sync().exit_code == 0
    assert_same(place.source, place.target)
    assert leftovers(place.target) == []


def test_in_the_runs_own_workspace_the_lease_is_enough(
    failed: tuple[Place, Run],
) -> None:
    place, run = failed
    _elsewhere(place, run, LEASE_S + 5)
    assert place.haulage("resume", run.id).code == 0
    assert_same(place.source, place.target)


def test_a_flow_run_takes_over_nothing_that_lives(place: Place) -> None:
    write(place.source / "a")
    mine = runs.begin(
        place.catalog(), place.dataset(), trigger="test", flow_run_id="flow-1"
    )
    with pytest.raises(RefusedError, match="active"):
        takeover.to_resume(place.catalog(), "flow-1", None)
    found = runs.find(place.catalog(), mine.id)
    assert found.token == mine.token
    assert mine.driver == replace(found.driver)


def test_a_driver_that_can_not_say_that_it_lives_stops_in_words(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(place.source / "a")
    monkeypatch.setattr(runs, "HOLD_S", 0.5)  # its next heartbeat comes later
    with pytest.raises(LostRunError, match="another host may take it over"):
        place.sync(Before("verify", lambda: time.sleep(4)), verify="checksum")
    monkeypatch.undo()
    monkeypatch.setenv("HAULAGE_HOME", str(place.home))
    assert place.haulage("resume", place.last_run().id).code == 0
    assert_same(place.source, place.target)


def test_a_clock_that_was_ahead_for_a_night_stops_no_later_night(
    failed: tuple[Place, Run],
) -> None:
    place, run = failed
    ahead = run.started_at + timedelta(days=365)
    before = runs.begin(place.catalog(), place.dataset(), trigger="test")
    runs.end(place.catalog(), before, RunState.DONE, {})
    with place.catalog().begin() as connection:
        connection.execute(update(RunTable).values(number=RunTable.number + 5))
        earlier = update(RunTable).where(RunTable.id == before.id)
        connection.execute(earlier.values(number=1, started_at=ahead))
    for _ in range(2):
        assert place.sync().exit_code == 0
    assert_same(place.source, place.target)
    assert runs.find(place.catalog(), run.id).state is RunState.SUPERSEDED
    assert place.last_run().state is RunState.DONE
