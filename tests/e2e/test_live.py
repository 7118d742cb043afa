"""What a person changes of a run while it goes on."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

import haulage.launch.open
from haulage.config.launchers import Slurm
from haulage.run.context import heartbeat
from tests.e2e.exact import assert_exact
from tests.e2e.place import Place
from tests.e2e.test_slots import moves
from tests.engine_builders import allocate_huge, until
from tests.launch.process_engine import ProcessEngine


@pytest.fixture
def engine(monkeypatch):
    monkeypatch.setattr(heartbeat, "_BEAT_S", 0.2)
    made = ProcessEngine()
    monkeypatch.setattr(haulage.launch.open, "engine_of", lambda _: made)
    yield made
    made.end()


@pytest.fixture
def going_on(place, engine, tmp_path):
    """Give a place whose run has one slot, which copies a file that takes long."""
    launcher = Slurm(
        kind="slurm",
        workspace=str(tmp_path / "shared"),
        small_entries=0,
        small_bytes=0,
        poll_seconds=1,
        lease=2,
    )
    allocate_huge(place.source / "a-huge")
    for number in range(40):
        (place.source / f"f{number}").write_bytes(b"%d" % number)
    shards = {"max_entries": 2, "max_bytes": 1 << 50}
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(place.sync, launcher=launcher, shards=shards)
        until(lambda: moves(place.target))
        yield place
        os.truncate(place.source / "a-huge", 1)
        assert running.result().exit_code == 0
    assert_exact(place)


def test_a_run_gets_more_slots_and_its_nodes_are_shown(going_on: Place, engine):
    run = going_on.last_run().id
    before = len(engine.slots)
    assert going_on.haulage("scale", run, "4").code == 0
    until(lambda: len(engine.slots) > before)
    until(lambda: b"slots," in going_on.haulage("status").out)


def test_a_run_leaves_a_node(going_on: Place, engine):
    run = going_on.last_run().id
    node = engine.slots[-1].node
    until(lambda: going_on.haulage("drain", run, node).code == 0)
    os.truncate(going_on.source / "a-huge", 1)
    until(lambda: node in [n for job in engine.submitted for n in job.excluded_nodes])


def test_a_node_that_the_run_is_not_on_is_refused(going_on: Place, engine):
    done = going_on.haulage("drain", going_on.last_run().id, "nowhere")
    assert (done.code, b"nowhere" in done.err) == (2, True)


@pytest.mark.parametrize("number", ["0", "-1", "many", "1000000"])
def test_a_wrong_number_of_movers_is_refused(place: Place, number: str):
    done = place.haulage("scale", "some-run", "--", number)
    assert (done.code, b"from 1 to" in done.err) == (2, True)


def test_a_run_that_has_ended_is_not_changed(place: Place):
    (place.source / "f").write_bytes(b"content")
    place.sync()
    done = place.haulage("scale", place.last_run().id, "3")
    assert (done.code, b"is not active" in done.err) == (2, True)
