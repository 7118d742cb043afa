"""Whole runs whose movers are slots, started by an engine that is no cluster."""

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import haulage.launch.open
from haulage.catalog.runs import shards
from haulage.catalog.runs.runs import RunState
from haulage.config.launchers import Slurm
from haulage.run import sequence
from haulage.run.context.runner import ThreadRunner
from tests.e2e.exact import assert_exact
from tests.e2e.place import GUARDED, Place, grow_old
from tests.engine_builders import allocate_huge, until
from tests.launch.process_engine import ProcessEngine, pids_of
from tests.trees.compare import leftovers


@pytest.fixture
def engine(monkeypatch):
    made = ProcessEngine()
    monkeypatch.setattr(haulage.launch.open, "engine_of", lambda _: made)
    yield made
    made.end()


@pytest.fixture
def policy(place, tmp_path) -> dict[str, Any]:
    """Give a policy by which all work, however small, is done by two slots."""
    (tmp_path / "shared").mkdir()
    launcher = Slurm(
        kind="slurm",
        workspace=str(tmp_path / "shared"),
        nodes=2,
        small_entries=0,
        small_bytes=0,
        poll_seconds=1,
        lease=2,
    )
    return {
        "launcher": launcher,
        "shards": {"max_entries": 20, "max_bytes": 1 << 50},
        **GUARDED,
    }


def write_tree(place: Place, files: int = 100) -> None:
    for number in range(files):
        folder = place.source / f"d{number % 7}"
        folder.mkdir(exist_ok=True)
        (folder / f"f{number}").write_bytes(b"content %d" % number)


def moves(target: Path) -> bool:
    """Tell whether a slot has begun with the file that takes long."""
    for one in target.glob(".haulage-*"):
        with suppress(FileNotFoundError):
            if one.stat().st_size > 1 << 20:
                return True
    return False


def begun_with_huge(place: Place, start: Callable[[], int], files: int) -> int:
    """Sync in a process of its own until a slot is at a file that takes long."""
    write_tree(place, files)
    allocate_huge(place.source / "huge")
    child = start()
    until(lambda: moves(place.target))
    return child


def end(child: int, number: signal.Signals) -> None:
    """End a process by a signal, and wait for it."""
    os.kill(child, number)
    os.waitpid(child, 0)


def code_of(child: int) -> int:
    """Wait for a process and return its exit code."""
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def test_nights_on_slots_are_exact(place, engine, policy):
    write_tree(place)
    first = place.sync(**policy)
    assert (first.exit_code, first.copied) == (0, 100)
    assert_exact(place)
    assert engine.submitted
    (place.source / "d0" / "f0").write_bytes(b"changed")
    (place.source / "d1" / "f1").unlink()
    second = place.sync(**policy)
    assert (second.exit_code, second.copied, second.deleted) == (0, 1, 1)
    assert_exact(place)
    until(lambda: not any(pids_of(slot) for slot in engine.slots))


def test_a_night_without_change_starts_no_job(place, engine, policy):
    write_tree(place)
    grow_old()
    place.sync(**policy)
    before = len(engine.submitted)
    assert place.sync(**policy).exit_code == 0
    assert len(engine.submitted) == before


def test_nothing_is_left_in_the_workspace(place, engine, policy):
    write_tree(place, 10)
    place.sync(**policy)
    until(lambda: not any(pids_of(slot) for slot in engine.slots))
    assert os.listdir(policy["launcher"].workspace) == ["checked.json"]


def test_slots_go_on_without_their_driver_and_are_found_again(place, engine, start):
    end(begun_with_huge(place, start, 20), signal.SIGKILL)
    os.truncate(place.source / "huge", 1)
    run = place.last_run()
    summary = sequence.resume(run.id, ThreadRunner(), catalog_url=place.catalog_url)
    assert summary.exit_code == 0, place.failures()
    assert_exact(place)


def test_a_stopped_run_leaves_no_slot_and_goes_on_later(place, engine, start):
    end(begun_with_huge(place, start, 20), signal.SIGTERM)
    run = place.last_run()
    assert run.state == RunState.CANCELLED
    until(lambda: leftovers(place.target) == [])
    os.truncate(place.source / "huge", 1)
    summary = sequence.resume(run.id, ThreadRunner(), catalog_url=place.catalog_url)
    assert summary.exit_code == 0, place.failures()
    assert_exact(place)


def test_another_run_ends_the_slots_of_one_that_died(place, engine, policy, start):
    end(begun_with_huge(place, start, 20), signal.SIGKILL)
    os.unlink(place.source / "huge")
    probe = f".haulage-{place.last_run().temp_token}-a\u00e9"
    (place.target / probe).touch()  # as if it had died a little earlier
    assert place.sync(**policy).exit_code == 0
    assert_exact(place)
    assert shards.listed(place.catalog(), place.last_run().id)
