"""What sacct tells of slots that the controller has forgotten."""

from collections.abc import Iterator

import pytest

from haulage.config.launchers import Slurm
from haulage.launch.engine import SlotJob
from haulage.launch.slurm import commands
from haulage.launch.slurm.answers import Task, records_of
from haulage.launch.slurm.engine import SlurmEngine
from tests.engine_builders import until
from tests.servers.slurm import SlurmCluster, slurm_cluster
from tests.servers.slurmdbd import accounting_of, skip_without

NAME = "haulage-a-0-0"


@pytest.fixture
def accounted(monkeypatch) -> Iterator[SlurmCluster]:
    skip_without()
    with slurm_cluster(accounting_of, min_job_age=2) as cluster:
        for name, value in cluster.environ.items():
            monkeypatch.setenv(name, value)
        yield cluster


@pytest.mark.slow
@pytest.mark.torture
def test_a_slot_that_the_controller_forgot_is_told_by_the_accounting(
    accounted, tmp_path
):
    engine = SlurmEngine(Slurm(kind="slurm", workspace=str(tmp_path)))
    words = ("/bin/sh", "-c", '[ "$HAULAGE_SLOT" = "${HAULAGE_SLOT%_1}" ] || exit 3')
    engine.submit(SlotJob(NAME, words, tmp_path, 2))
    until(lambda: len(engine.look(NAME)) == 2)
    until(lambda: not accounted.run("squeue", "-h", "--states=all"), 60)
    until(lambda: len(engine.look(NAME)) == 2, 60)
    told = sorted((v.slot[-2:], v.life.name, v.start, v.why) for v in engine.look(NAME))
    assert told == [
        ("_0", "ENDED", 0, "COMPLETED"),
        ("_1", "ENDED", 0, "FAILED, exit code 3:0"),
    ]
    assert all(view.node for view in engine.look(NAME))


def test_without_accounting_a_forgotten_slot_is_not_known(slurm, tmp_path):
    engine = SlurmEngine(Slurm(kind="slurm", workspace=str(tmp_path)))
    engine.submit(SlotJob(NAME, ("/bin/true",), tmp_path, 2))
    slurm.run("scancel", f"--name={NAME}")
    slurm.run("scancel", "--user=root")
    until(lambda: NAME not in slurm.run("squeue", "-h", "--states=all"), 60)
    assert engine.look(NAME) == []


def test_a_task_that_was_started_again_has_the_state_of_its_last_start():
    said = (
        "7_0|NODE_FAIL|0:0|n1\n"
        "7_1|COMPLETED|0:0|n2\n"
        "7_0|CANCELLED by 1000|0:15|n3\n"
        "7_[2-5]|PENDING|0:0|None assigned\n"
        "\n"
    )
    assert records_of(said, NAME) == [
        Task("7", "0", 1, "CANCELLED by 1000", "n3", "0:15", NAME, ""),
        Task("7", "1", 0, "COMPLETED", "n2", "0:0", NAME, ""),
    ]


def test_a_job_that_lived_over_midnight_is_asked_for_from_its_beginning():
    words = commands.sacct("7", 90_000.4)
    assert "--starttime=now-90600seconds" in words
    assert "--jobs=7" in words
