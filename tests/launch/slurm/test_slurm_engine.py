"""The engine on a real cluster, whose largest array has eleven tasks."""

import os
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from haulage.config.launchers import Slurm
from haulage.errors import RefusedError
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
        until(lambda: self.lives(number) == wanted, 60)
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
