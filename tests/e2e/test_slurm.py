"""Whole runs whose movers are tasks of job arrays on a real cluster of four nodes."""

import os
import re
import signal
import subprocess
from contextlib import suppress
from typing import Any

import pytest

from haulage.catalog.runs.runs import RunState
from haulage.config.launchers import Slurm
from haulage.errors import RefusedError
from haulage.run import sequence
from haulage.run.context.runner import ThreadRunner
from tests.e2e.exact import assert_exact
from tests.e2e.place import GUARDED, Place, grow_old
from tests.e2e.test_slots import begun_with_huge, code_of, end, moves, write_tree
from tests.engine_builders import until
from tests.servers.processes import ServerFailedError
from tests.servers.slurm import SlurmCluster

LAUNCHER: dict[str, Any] = {
    "kind": "slurm",
    "partition": "main",
    "nodes": 4,
    "slots_per_node": 2,
    "memory_per_slot": 300 << 20,
    "small_entries": 0,
    "small_bytes": 0,
    "poll_seconds": 1,
    "lease": 5,
}


@pytest.fixture
def policy(slurm: SlurmCluster, tmp_path) -> dict[str, Any]:
    """Give a policy by which all work is done on the cluster."""
    launcher = Slurm.model_validate(LAUNCHER | {"workspace": str(tmp_path / "shared")})
    return {
        "launcher": launcher,
        "shards": {"max_entries": 10, "max_bytes": 1 << 50},
        **GUARDED,
    }


def jobs_of(slurm: SlurmCluster) -> list[str]:
    """Return the tasks that wait or run."""
    return slurm.run("squeue", "--noheader", "--array", "-o", "%j %T").splitlines()


def nodes_in(slurm: SlurmCluster) -> set[str]:
    """Return the nodes on which tasks run."""
    out = slurm.run("squeue", "--noheader", "--array", "-o", "%N")
    return {line for line in out.split() if line}


def test_nights_on_a_cluster_are_exact(place: Place, slurm, policy):
    write_tree(place, 200)
    first = place.sync(**policy)
    assert (first.exit_code, first.copied) == (0, 200)
    assert_exact(place)
    (place.source / "d0" / "f0").write_bytes(b"changed")
    (place.source / "d1" / "f1").unlink()
    second = place.sync(**policy)
    assert (second.exit_code, second.copied, second.deleted) == (0, 1, 1)
    assert_exact(place)
    until(lambda: jobs_of(slurm) == [])


def test_a_driver_that_was_killed_finds_its_arrays(place: Place, slurm, policy, start):
    child = begun_with_huge(place, start, 50)
    end(child, signal.SIGKILL)
    before = set(jobs_of(slurm))
    assert before
    os.truncate(place.source / "huge", 1)
    run = place.last_run()
    summary = sequence.resume(run.id, ThreadRunner(), catalog_url=place.catalog_url)
    assert summary.exit_code == 0, place.failures()
    assert_exact(place)


def test_jobs_of_a_killed_driver_are_cancelled_when_asked(place, slurm, policy, start):
    child = begun_with_huge(place, start, 50)
    for task in slurm.run("squeue", "-h", "--array", "-t", "R", "-o", "%i").split():
        with suppress(ServerFailedError):  # it ends already
            slurm.run("scontrol", "suspend", task)  # else it might end before
    assert place.haulage("runs", "--clean").code == 0
    assert jobs_of(slurm)  # the driver lives
    end(child, signal.SIGKILL)
    done = place.haulage("runs", "--clean")
    assert (done.code, place.last_run().id.encode() in done.err) == (0, True)
    until(lambda: jobs_of(slurm) == [])


def test_a_stop_leaves_nothing_in_the_queue(place: Place, slurm, policy, start):
    child = begun_with_huge(place, start, 50)
    end(child, signal.SIGTERM)
    assert place.last_run().state == RunState.CANCELLED
    until(lambda: jobs_of(slurm) == [])
    until(lambda: not moves(place.target))


def test_a_node_that_is_lost_costs_one_shard_and_no_entry(place, slurm, policy, start):
    child = begun_with_huge(place, start, 50)
    (node,) = until(lambda: len(nodes_in(slurm)) == 1 and nodes_in(slurm))
    slurm.kill_node(node)
    slurm.down(node)
    os.truncate(place.source / "huge", 1)
    assert code_of(child) == 0
    assert_exact(place)


def test_a_slot_that_is_preempted_gives_its_shard_back(place, slurm, policy, start):
    child = begun_with_huge(place, start, 20)
    urgent = [
        "sbatch",
        "--parsable",
        "-p",
        "urgent",
        "--exclusive",
        "-N4",
        "-o/dev/null",
    ]
    (number,) = slurm.run(*urgent, "--wrap", "sleep 2").split()
    until(lambda: not moves(place.target))  # its temporary is gone with it
    os.truncate(place.source / "huge", 1)
    slurm.run("scancel", number)
    assert code_of(child) == 0
    assert_exact(place)


def test_a_controller_that_is_away_stops_nothing(place, slurm, policy, start):
    child = begun_with_huge(place, start, 50)
    slurm.stop_controller()
    try:
        os.truncate(place.source / "huge", 1)
        until(lambda: not moves(place.target))  # the slot has answered
    finally:
        slurm.start_controller()
    assert code_of(child) == 0
    assert_exact(place)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"partition": "nowhere"}, "partition"),
        ({"time_limit": 86400}, "ask for the time"),
        ({"constraint": "gpu"}, "constraint"),
        ({"cpus_per_slot": 64}, "cpus"),
        ({"python": "/nowhere/python"}, "/nowhere/python"),
    ],
)
def test_what_the_cluster_refuses_is_refused_before_anything_is_touched(
    place: Place, slurm, policy, wrong, words
):
    write_tree(place, 5)
    changed = policy["launcher"].model_copy(update=wrong)
    with pytest.raises(RefusedError, match=f"(?i){re.escape(words)}"):
        place.sync(**{**policy, "launcher": changed})
    assert not place.target.exists() or os.listdir(place.target) == []


def test_a_workspace_in_the_source_is_refused(place: Place, slurm, policy):
    changed = policy["launcher"].model_copy(
        update={"workspace": str(place.source / "w")}
    )
    with pytest.raises(RefusedError, match="lies in the source"):
        place.sync(**{**policy, "launcher": changed})


def test_a_quiet_night_starts_no_job(place: Place, slurm, policy):
    write_tree(place, 20)
    grow_old()
    place.sync(**policy)
    until(lambda: jobs_of(slurm) == [])
    last = last_job(slurm)
    assert place.sync(**policy).exit_code == 0
    assert last_job(slurm) == last


def last_job(slurm: SlurmCluster) -> str:
    """Return the id that the next job gets, which starting one changes."""
    done = subprocess.run(
        ["scontrol", "show", "config"],
        env=os.environ | slurm.environ,
        capture_output=True,
        text=True,
        check=True,
    )
    found = re.search(r"NEXT_JOB_ID\s*=\s*(\d+)", done.stdout)
    assert found
    return found[1]
