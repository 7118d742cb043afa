"""What a person changes of a run while it goes on."""

import re
import signal
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

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
def policy(place: Place, engine, tmp_path) -> dict[str, Any]:
    """Give a policy of one slot, after whose check slots wait for a signal."""
    launcher = Slurm(
        kind="slurm",
        workspace=str(tmp_path / "shared"),
        small_entries=0,
        small_bytes=0,
        poll_seconds=1,
        lease=60,
    )
    fields: dict[str, Any] = {
        "launcher": launcher,
        "shards": {"max_entries": 2, "max_bytes": 1 << 50},
    }
    (place.source / "first").write_bytes(b"content")
    place.sync(**fields)
    return fields


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


def go_on(engine: ProcessEngine, running: "Future[Any]") -> None:
    """Let all slots work, and the run come to its end."""
    engine.starts_stopped = False
    for slot in engine.slots:
        engine.signal(slot, signal.SIGCONT)
    assert running.result().exit_code == 0


def test_a_run_gets_more_slots(place: Place, engine, policy, threads):
    for number in range(40):
        (place.source / f"f{number}").write_bytes(b"%d" % number)
    before, engine.starts_stopped = len(engine.slots), True
    running = threads.submit(place.sync, **policy)
    until(lambda: len(engine.slots) == before + 1)
    assert place.haulage("scale", place.last_run().id, "4").code == 0
    until(lambda: len(engine.slots) >= before + 4)
    go_on(engine, running)
    assert_exact(place)


def test_a_node_is_shown_and_left(place: Place, engine, policy, threads):
    allocate_huge(place.source / "huge")
    running = threads.submit(place.sync, **policy)
    until(lambda: moves(place.target))
    engine.signal(engine.slots[-1], signal.SIGSTOP)
    shown = until(lambda: re.search(rb"node (\S+)", place.haulage("status").out))
    assert place.haulage("drain", place.last_run().id, shown[1].decode()).code == 0
    go_on(engine, running)
    assert_exact(place)


def test_a_node_that_the_run_is_not_on_is_refused(place, engine, policy, threads):
    (place.source / "second").write_bytes(b"content")
    before, engine.starts_stopped = len(engine.slots), True
    running = threads.submit(place.sync, **policy)
    until(lambda: len(engine.slots) > before)
    done = place.haulage("drain", place.last_run().id, "nowhere")
    assert (done.code, b"nowhere" in done.err) == (2, True)
    go_on(engine, running)


@pytest.mark.parametrize("number", ["0", "-1", "many", "1000000"])
def test_a_wrong_number_of_movers_is_refused(place: Place, number: str):
    done = place.haulage("scale", "some-run", "--", number)
    assert (done.code, b"from 1 to" in done.err) == (2, True)


def test_a_run_that_has_ended_is_not_changed(place: Place):
    (place.source / "f").write_bytes(b"content")
    place.sync()
    done = place.haulage("scale", place.last_run().id, "3")
    assert (done.code, b"is not active" in done.err) == (2, True)
