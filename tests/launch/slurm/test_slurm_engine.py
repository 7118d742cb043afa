"""The engine on a real cluster, whose largest array has eleven tasks."""

import os
import sys
import uuid
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from haulage.config.launchers import Slurm
from haulage.errors import RefusedError, TransientError
from haulage.launch.engine import SlotJob, SlotView
from haulage.launch.slurm.engine import SlurmEngine
from tests.engine_builders import until
from tests.servers.slurm import MAX_ARRAY_SIZE

TELLS = 'echo "$HAULAGE_SLOT $HAULAGE_SLOT_START $HAULAGE_NODE"'


def launcher(tmp_path, **fields):
    return Slurm(kind="slurm", workspace=str(tmp_path), **fields)


@dataclass
class Night:
    """Jobs of one test, which have a prefix of their own: SLURM forgets slowly."""

    logs: Path
    engine: SlurmEngine
    prefix: str = field(default_factory=lambda: f"haulage-{uuid.uuid4().hex[:8]}")

    def submit(self, script: str, slots: int = 1, number: int = 0, **named: Any) -> str:
        name = f"{self.prefix}-{number}"
        words = ("/bin/bash", "-c", script)
        self.engine.submit(SlotJob(name, words, self.logs, slots, **named))
        return name

    def views(self, number: int = 0) -> list[SlotView]:
        return self.engine.look(f"{self.prefix}-{number}")

    def lives(self, number: int = 0) -> list[str]:
        return sorted(view.life.name for view in self.views(number))

    def until(self, *lives: str, number: int = 0) -> list[SlotView]:
        wanted = sorted(lives)
        until(lambda: self.lives(number) == wanted)
        return self.views(number)

    def said(self) -> dict[str, str]:
        return {one.stem: one.read_text() for one in self.logs.glob("*.out")}


@pytest.fixture
def night(slurm, tmp_path):
    return Night(tmp_path, SlurmEngine(launcher(tmp_path)))


def test_slots_know_who_they_are_and_are_split_into_arrays(night):
    name = night.submit(TELLS, slots=25)
    views = night.until(*25 * ["ENDED"])
    assert {view.job for view in views} == {name}
    assert len({view.slot.partition("_")[0] for view in views}) == 3
    wanted = {view.slot: f"{view.slot} 0 {view.node}\n" for view in views}
    until(lambda: night.said() == wanted)
    assert max(int(view.slot.partition("_")[2]) for view in views) < MAX_ARRAY_SIZE


def test_an_array_that_the_cluster_refuses_as_too_large_is_halved(night):
    night.engine._most_tasks = 1000  # as it was before somebody lowered it
    night.submit("true", slots=25)
    views = night.until(*25 * ["ENDED"])
    sizes = Counter(view.slot.partition("_")[0] for view in views)
    assert sorted(sizes.values()) == [1, 6, 6, 6, 6]


def test_slots_of_other_jobs_are_not_seen(night):
    night.submit("sleep 60")
    assert night.engine.look("haulage-x") == []
    assert len(night.views()) == 1


def test_a_cancelled_job_ends_and_others_go_on(night):
    ended = night.submit("sleep 60", slots=2)
    night.submit("sleep 60", slots=2, number=1)
    night.until(*2 * ["RUNNING"])
    night.until(*2 * ["RUNNING"], number=1)
    night.engine.cancel([ended, "haulage-unknown"])
    night.until(*2 * ["ENDED"])
    assert night.lives(number=1) == 2 * ["RUNNING"]


def test_a_slot_has_nothing_of_the_driver_s_environment(night, monkeypatch):
    monkeypatch.setenv("HAULAGE_TARGET_SECRET", "hidden")
    monkeypatch.setenv("SBATCH_PARTITION", "hidden")
    night.submit("env")
    night.until("ENDED")
    (text,) = night.said().values()
    assert "HAULAGE_SLOT=" in text
    assert "hidden" not in text
    assert f"HOME={os.environ['HOME']}" in text
    assert "LC_ALL=" not in text


def test_the_exit_code_of_a_slot_is_told_and_does_not_start_it_again(night):
    night.submit("exit 75")
    (view,) = night.until("ENDED")
    assert view.why == "FAILED, NonZeroExitCode, exit code 75:0"


def test_words_of_a_command_are_no_shell(night):
    words = ("/bin/echo", "$HOME", "`id`", "a  b", "@command@", "'", "\\")
    night.engine.submit(SlotJob(f"{night.prefix}-0", words, night.logs, 1))
    night.until("ENDED")
    assert list(night.said().values()) == [" ".join(words[1:]) + "\n"]


def test_the_prologue_is_run_first(slurm, tmp_path):
    lines = ("export WHERE='a b'", "hello() { echo hello; }", "hello")
    night = Night(tmp_path, SlurmEngine(launcher(tmp_path, prologue=lines)))
    night.submit('echo "$WHERE"')
    night.until("ENDED")
    assert list(night.said().values()) == ["hello\na b\n"]


def test_a_partition_that_is_not_there_is_refused_with_the_next_step(slurm, tmp_path):
    engine = SlurmEngine(launcher(tmp_path, partition="nope"))
    with pytest.raises(RefusedError, match=r"partition: .*nope.*'sinfo -s'"):
        Night(tmp_path, engine).submit("true")


def test_without_sbatch_a_machine_is_told_to_be_no_submit_host(night, monkeypatch):
    monkeypatch.setenv("PATH", str(night.logs))
    with pytest.raises(RefusedError, match="is not in PATH"):
        night.submit("true")


def test_a_slot_that_a_person_holds_waits_for_a_person(night, slurm):
    slurm.run("scontrol", "update", "partitionname=main", "state=down")
    try:
        night.submit("true", slots=2)
        slurm.run("scontrol", "hold", f"jobname={night.prefix}-0")
    finally:
        slurm.run("scontrol", "update", "partitionname=main", "state=up")
    (view, _) = night.until("HELD", "HELD")
    assert "JobHeld" in view.why
    assert view.node is None
    slurm.run("scontrol", "release", f"jobname={night.prefix}-0")
    night.until("ENDED", "ENDED")


def test_a_slot_that_no_node_can_ever_run_is_told_as_held(slurm, tmp_path):
    engine = SlurmEngine(launcher(tmp_path, time_limit="2h"))
    night = Night(tmp_path, engine)
    night.submit("true")
    (view,) = night.until("HELD")
    assert view.why.startswith("PENDING, Partition")


def test_a_slot_that_is_cancelled_while_it_waits_leaves_no_view(night, slurm):
    slurm.run("scontrol", "update", "partitionname=main", "state=down")
    try:
        night.submit("true", slots=3)
        (view, *_) = night.until("WAITING", "WAITING", "WAITING")
        slurm.run("scancel", view.slot)
        left = night.until("WAITING", "WAITING")
    finally:
        slurm.run("scontrol", "update", "partitionname=main", "state=up")
    assert view.slot not in {one.slot for one in left}


@pytest.mark.slow
def test_slots_of_a_lost_node_start_again_elsewhere(night, slurm):
    night.submit("sleep 100", slots=2)
    before = night.until("RUNNING", "RUNNING")
    (node,) = {view.node for view in before}
    slurm.kill_node(node)
    slurm.down(node)
    again = {("RUNNING", 1)}
    until(lambda: {(v.life.name, v.start) for v in night.views()} == again, 60)
    assert node not in {view.node for view in night.views()}


def test_a_slot_of_a_lost_node_that_may_not_start_again_is_no_proof(slurm, tmp_path):
    engine = SlurmEngine(launcher(tmp_path, requeue=False))
    night = Night(tmp_path, engine)
    night.submit("sleep 100")
    (before,) = night.until("RUNNING")
    slurm.kill_node(before.node)
    slurm.down(before.node)
    (view,) = night.until("LOST")
    assert (view.slot, view.node, view.start) == (before.slot, before.node, 0)
    assert "NODE_FAIL" in view.why


def test_a_cancelled_slot_of_a_node_that_is_down_is_lost_for_ever(slurm, tmp_path):
    # Else SLURM may miss the node first, and start the slot anew on another one.
    night = Night(tmp_path, SlurmEngine(launcher(tmp_path, requeue=False)))
    name = night.submit("sleep 100")
    (before,) = night.until("RUNNING")
    slurm.kill_node(before.node)
    night.engine.cancel([name])
    slurm.down(before.node)
    night.until("LOST")
    slurm.start_node(before.node)
    until(lambda: slurm.is_up(before.node))
    assert night.lives() == ["LOST"]


def test_a_drained_node_finishes_what_it_has_and_gets_no_more(night, slurm):
    night.submit("sleep 3")
    (before,) = night.until("RUNNING")
    slurm.drain(before.node)
    night.submit("true", slots=8, number=1)
    night.until(*8 * ["ENDED"], number=1)
    assert before.node not in {view.node for view in night.views(number=1)}
    (view,) = night.until("ENDED")
    assert view.why == "COMPLETED"


def test_excluded_nodes_get_no_slot(night):
    night.submit("true", slots=8, excluded_nodes=frozenset({"n1", "n3"}))
    views = night.until(*8 * ["ENDED"])
    assert {view.node for view in views} == {"n2", "n4"}


@pytest.mark.slow
def test_without_a_controller_nothing_is_known_and_slots_go_on(night, slurm):
    night.submit(f"sleep 5; {TELLS}")
    (before,) = night.until("RUNNING")
    slurm.stop_controller()
    with pytest.raises(TransientError, match="squeue"):
        night.views()
    with pytest.raises(TransientError):
        night.submit("true", number=1)
    until(night.said, 30)
    slurm.start_controller()
    (view,) = night.until("ENDED")
    assert (view.slot, view.start) == (before.slot, 0)
    assert night.views(number=1) == []


@pytest.mark.slow
def test_a_preempted_slot_is_started_again_and_knows_it(night, slurm):
    night.submit(f"{TELLS}; sleep 100", slots=8)
    until(lambda: len(night.said()) == 8 and all(night.said().values()))
    urgent = ["-p", "urgent", "--exclusive", "--output=/dev/null", "--wrap=sleep 1"]
    slurm.run("sbatch", *urgent)
    until(lambda: any(knows_its_start(night, view) for view in night.views()), 60)


def knows_its_start(night, view):
    """Tell whether a slot that was started anew says so, after what it said before."""
    lines = night.said().get(view.slot, "").splitlines()
    wanted = f"{view.slot} {view.start} {view.node}"
    return view.start > 0 and lines[0].startswith(f"{view.slot} 0 ") and wanted in lines


@pytest.mark.slow
def test_a_slot_is_told_before_its_time_is_up(night, slurm):
    waits = "import signal; print(signal.sigwait({signal.SIGUSR1}).name)"
    block = "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})"
    words = (sys.executable, "-c", f"{block}; {waits}")
    night.engine.submit(SlotJob(f"{night.prefix}-0", words, night.logs, 1))
    (view,) = night.until("RUNNING")
    slurm.run("scontrol", "update", f"jobid={view.slot}", "timelimit=1")
    until(lambda: night.lives() == ["ENDED"], 90)
    assert night.said()[view.slot] == "SIGUSR1\n"
