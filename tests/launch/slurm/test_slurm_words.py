"""What Haulage asks SLURM's programs for, and what it makes of their answers."""

import subprocess
from pathlib import Path

import pytest

from haulage.config.launchers import Slurm
from haulage.errors import TransientError
from haulage.launch.engine import SlotJob, SlotLife
from haulage.launch.slurm import commands, programs
from haulage.launch.slurm.answers import Task, job_id, most_tasks, node_states, tasks_of
from haulage.launch.slurm.commands import SEPARATOR
from haulage.launch.slurm.refusals import is_too_many, refusal
from haulage.launch.slurm.script import script_of
from haulage.launch.slurm.states import is_away, life_of

COMMAND = ("/usr/bin/python3", "-m", "haulage.workers.slot", "/shared/waves/0", "j")
JOB = SlotJob("haulage-a-0-0", COMMAND, Path("/shared/logs"), 3)


def launcher(**fields) -> Slurm:
    return Slurm.model_validate({"kind": "slurm", "workspace": "/shared", **fields})


def line(*fields: str) -> str:
    return "".join(f"{one}{SEPARATOR}" for one in fields) + "\n"


@pytest.mark.parametrize(
    ("word", "reason", "life"),
    [
        ("PENDING", "Priority", SlotLife.WAITING),
        ("PENDING", "Resources", SlotLife.WAITING),
        ("PENDING", "BeginTime", SlotLife.WAITING),
        ("PENDING", "QOSMaxJobsPerUserLimit", SlotLife.WAITING),
        ("PENDING", "AssocGrpCpuLimit", SlotLife.WAITING),
        ("PENDING", "JobHeldUser", SlotLife.HELD),
        ("PENDING", "JobHeldAdmin", SlotLife.HELD),
        ("PENDING", "launch failed requeued held", SlotLife.HELD),
        ("PENDING", "user env retrieval failed requeued held", SlotLife.HELD),
        ("PENDING", "PartitionTimeLimit", SlotLife.HELD),
        ("PENDING", "PartitionConfig", SlotLife.HELD),
        ("PENDING", "AccountNotAllowed", SlotLife.HELD),
        ("PENDING", "QOSMaxWallDurationPerJobLimit", SlotLife.HELD),
        ("PENDING", "DependencyNeverSatisfied", SlotLife.HELD),
        ("CONFIGURING", "None", SlotLife.WAITING),
        ("REQUEUED", "None", SlotLife.WAITING),
        ("REQUEUE_HOLD", "job requeued in held state", SlotLife.HELD),
        ("SPECIAL_EXIT", "None", SlotLife.HELD),
        ("RUNNING", "None", SlotLife.RUNNING),
        ("COMPLETING", "None", SlotLife.RUNNING),  # its processes may live
        ("SUSPENDED", "None", SlotLife.RUNNING),
        ("STOPPED", "None", SlotLife.RUNNING),
        ("SIGNALING", "None", SlotLife.RUNNING),
        ("STAGE_OUT", "None", SlotLife.RUNNING),
        ("RESIZING", "None", SlotLife.RUNNING),
        ("REVOKED", "None", SlotLife.RUNNING),  # it runs on another cluster
        ("COMPLETED", "None", SlotLife.ENDED),
        ("FAILED", "NonZeroExitCode", SlotLife.ENDED),
        ("CANCELLED", "None", SlotLife.ENDED),
        ("CANCELLED by 123", "", SlotLife.ENDED),
        ("CANCELLED+", "", SlotLife.ENDED),
        ("TIMEOUT", "TimeLimit", SlotLife.ENDED),
        ("OUT_OF_MEMORY", "OutOfMemory", SlotLife.ENDED),
        ("DEADLINE", "DeadLine", SlotLife.ENDED),
        ("BOOT_FAIL", "None", SlotLife.ENDED),
        ("NODE_FAIL", "NodeDown", SlotLife.LOST),
        ("SOMETHING_NEW", "None", SlotLife.RUNNING),
        ("", "", SlotLife.RUNNING),
    ],
)
def test_each_state_is_the_life_of_a_slot_and_an_unknown_one_no_end(word, reason, life):
    assert life_of(word, reason) is life
    assert life_of(word, reason, requeues=True) is life


def test_a_preempted_slot_has_ended_only_if_slurm_cannot_start_it_again():
    assert life_of("PREEMPTED", "None", requeues=True) is SlotLife.WAITING
    assert life_of("PREEMPTED", "None", requeues=False) is SlotLife.ENDED


def test_tasks_are_read_whatever_stands_between_them():
    said = (
        line("7", "0", "0", "RUNNING", "n1", "0", "haulage-a-0-0", "None")
        + line("7", "10", "1", "PENDING", "", "0", "haulage-a-0-0", "BeginTime")
        + line("7", "3", "0", "FAILED", "n2", "19200", "haulage-a-0-0", "NonZero")
        + line("9", "N/A", "0", "RUNNING", "n3", "0", "of a person, | is in it", "None")
        + line("8", "1", "0", "RUNNING", "n3", "0", f"x{SEPARATOR}y", "None")
        + "slurm: a plugin says hello\n\n"
    )
    name = "haulage-a-0-0"
    assert list(tasks_of(said)) == [
        Task("7", "0", 0, "RUNNING", "n1", "0:0", name, "None"),
        Task("7", "10", 1, "PENDING", None, "0:0", name, "BeginTime"),
        Task("7", "3", 0, "FAILED", "n2", "75:0", name, "NonZero"),
    ]


def test_no_answer_lists_no_task():
    assert list(tasks_of("")) == []


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ("4242\n", "4242"),
        ("4242;cluster\n", "4242"),
        ("welcome, you have 3 GPUs\n4242\n", "4242"),
        ("", None),
        ("Submitted batch job 5\n", None),
    ],
)
def test_the_id_of_a_job_is_found_among_what_plugins_say(said, wanted):
    assert job_id(said) == wanted


@pytest.mark.parametrize(
    ("said", "most"),
    [
        ("MaxArraySize            = 1001\nSchedulerParameters     = (null)\n", 1001),
        ("MaxArraySize            = 0\n", 0),
        (
            "MaxArraySize = 1001\nSchedulerParameters = a=1,max_array_tasks=100\n",
            100,
        ),
        ("", 1001),
    ],
)
def test_the_largest_array_is_what_the_configuration_says(said, most):
    assert most_tasks(said) == most


@pytest.mark.parametrize("state", ["idle", "mixed", "allocated", "draining", "idle~"])
def test_a_node_that_answers_tells_the_end_of_its_slots(state):
    assert not is_away(state)


@pytest.mark.parametrize(
    "state", ["down", "down*", "idle*", "allocated*", "draining*", "failing", "unknown"]
)
def test_a_node_that_does_not_answer_tells_no_end(state):
    assert is_away(state)


def test_states_of_nodes_are_read():
    assert node_states("n1 idle\nn2 down*\n\n") == {"n1": "idle", "n2": "down*"}


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("invalid partition specified: nope", ["partition", "nope", "sinfo -s"]),
        (
            "User's group not permitted to use this partition",
            ["partition", "group not permitted"],
        ),
        (
            (
                "Batch job submission failed: Invalid account or account/partition "
                "combination specified"
            ),
            ["account", "sacctmgr show associations"],
        ),
        ("Batch job submission failed: Invalid qos specification", ["QOS", "sacctmgr"]),
        (
            (
                "Batch job submission failed: Job violates accounting/QOS policy (job "
                "submit limit, user's size and/or time limits)"
            ),
            ["account or QOS", "sacctmgr"],
        ),
        (
            "Batch job submission failed: Requested reservation is invalid",
            ["reservation", "scontrol show reservation"],
        ),
        (
            (
                "Batch job submission failed: Requested time limit is invalid "
                "(missing or exceeds some limit)"
            ),
            ["time limit", "%l"],
        ),
        ("Invalid --time specification", ["time limit"]),
        (
            "Batch job submission failed: Invalid feature specification",
            ["constraint", "%f"],
        ),
        ("Invalid generic resource (gres) specification", ["gres", "%G"]),
        (
            "Batch job submission failed: Invalid license specification",
            ["licenses", "scontrol show licenses"],
        ),
        (
            (
                "Memory specification can not be satisfied\nsbatch: error: Batch job "
                "submission failed: Requested node configuration is not available"
            ),
            ["memory per slot", "sinfo"],
        ),
        (
            "Batch job submission failed: More processors requested than permitted",
            ["CPUs per slot", "sinfo"],
        ),
        ("unrecognized option '--nonsense'", ["more options", "nonsense"]),
        ("Batch job submission failed: Something new", ["Something new", "sbatch"]),
        ("", ["without a word"]),
    ],
)
def test_a_refusal_names_the_option_and_the_next_step(said, told):
    words = str(refusal(f"sbatch: error: {said}\n"))
    assert [one for one in told if one not in words] == []
    assert "sbatch: error" not in words


@pytest.mark.parametrize(
    "said",
    [
        "Batch job submission failed: Invalid job array specification",
        (
            "Batch job submission failed: Job violates accounting/QOS policy "
            "(job submit limit, user's size and/or time limits)"
        ),
        "AssocMaxSubmitJobLimit",
        "QOSMaxSubmitJobPerUserLimit",
    ],
)
def test_a_cluster_that_takes_fewer_slots_is_asked_for_fewer(said):
    assert is_too_many(said)
    assert not is_too_many("Invalid partition name specified")


def test_every_option_of_the_launcher_reaches_sbatch():
    asked = launcher(
        partition="main",
        account="physics",
        qos="long",
        reservation="night",
        constraint="a&b",
        exclude="n[7-9]",
        gres="nvme:1",
        licenses="lustre:1",
        nice=100,
        comment="it's for $HOME",
        memory_per_slot="4G",
        time_limit="12h",
        exclusive=True,
        requeue=False,
        cpus_per_slot=8,
        extra=["--mail-type=FAIL"],
    )
    job = SlotJob(JOB.name, COMMAND, JOB.logs, 3, frozenset({"n2", "n1"}), 2)
    assert commands.sbatch(asked, job, 3) == [
        *("sbatch", "--parsable", "--job-name=haulage-a-0-0", "--array=0-2"),
        *("--output=/shared/logs/%A_%a.out", "--error=/shared/logs/%A_%a.err"),
        *("--open-mode=append", "--export=ALL", "--chdir=/"),
        *("--nodes=1", "--ntasks=1", "--cpus-per-task=8", "--no-requeue"),
        *("--signal=B:USR1@60", "--partition=main", "--account=physics", "--qos=long"),
        *("--reservation=night", "--constraint=a&b", "--gres=nvme:1"),
        *("--licenses=lustre:1", "--nice=100", "--comment=it's for $HOME"),
        *("--mem=8192M", "--time=720:00", "--exclusive", "--exclude=n[7-9],n1,n2"),
        "--mail-type=FAIL",
    ]


def test_a_directory_of_logs_is_no_pattern_for_sbatch():
    job = SlotJob(JOB.name, COMMAND, Path("/shared/100%j"), 1)
    assert "--output=/shared/100%%j/%A_%a.out" in commands.sbatch(launcher(), job, 1)


def test_the_script_sets_who_the_slot_is_and_becomes_it():
    assert script_of(launcher(), COMMAND) == (
        "#!/bin/bash\n"
        "# Starts one slot of Haulage; sbatch reads it from its standard input.\n"
        "unset LC_ALL\n"
        'export HAULAGE_SLOT="${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}"\n'
        'export HAULAGE_SLOT_START="${SLURM_RESTART_COUNT:-0}"\n'
        'export HAULAGE_NODE="$SLURMD_NODENAME"\n'
        "\n\n"
        "exec /usr/bin/python3 -m haulage.workers.slot /shared/waves/0 j\n"
    )


def test_modules_are_loaded_before_the_prologue():
    given = launcher(modules=["python/3.12", "gcc"], prologue=["export A=1"])
    lines = script_of(given, COMMAND).splitlines()
    at = lines.index("source /etc/profile")
    assert lines[at + 1 : at + 5] == [
        "module load python/3.12 || exit",
        "module load gcc || exit",
        "export A=1",
        f"exec {' '.join(COMMAND)}",
    ]


@pytest.mark.parametrize(
    ("runtime", "words", "signal"),
    [
        (
            "pyxis",
            (
                "exec srun --ntasks=1 --cpus-per-task=4 --export=ALL "
                "'--container-image=reg#a/b:1' "
                "--container-mounts=/shared:/shared,/data:/data:ro /usr/bin/python3"
            ),
            "--signal=USR1@60",  # to the step
        ),
        (
            "apptainer",
            (
                "exec apptainer exec --bind /shared:/shared,/data:/data:ro 'reg#a/b:1' "
                "/usr/bin/python3"
            ),
            "--signal=B:USR1@60",
        ),
    ],
)
def test_a_container_has_the_workspace_and_what_is_mounted(runtime, words, signal):
    container = {"runtime": runtime, "image": "reg#a/b:1", "mounts": ["/data:/data:ro"]}
    given = launcher(container=container, cpus_per_slot=4)
    assert script_of(given, COMMAND).splitlines()[-1].startswith(words)
    assert signal in commands.sbatch(given, JOB, 1)


def test_no_word_of_a_command_is_shell():
    words = (
        "/bin/printf",
        "%s\\n",
        "a b",
        "$HOME",
        "`id`",
        "'",
        "@prologue@",
        "*",
        "é",
    )
    script = script_of(launcher(prologue=["true"]), words)
    done = subprocess.run(
        ["bash"], input=script.encode(), capture_output=True, check=True
    )
    assert done.stdout.decode().splitlines() == list(words[2:])


@pytest.mark.parametrize(
    "said",
    [
        "slurm_load_jobs error: Unable to contact slurm controller (connect failure)",
        (
            "sbatch: error: Batch job submission failed: Socket timed out on send/recv "
            "operation"
        ),
        (
            "sbatch: error: Batch job submission failed: Zero Bytes were transmitted "
            "or received"
        ),
        "sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying",
        "sbatch: error: Batch job submission failed: Resource temporarily unavailable",
        "sbatch: error: Batch job submission failed: Connection refused",
        (
            "sbatch: error: Batch job submission failed: I/O error writing "
            "script/environment to file"
        ),
    ],
)
def test_a_controller_that_does_not_answer_is_asked_again_later(said):
    with pytest.raises(TransientError, match=r"^sh: "):
        programs.run(["sh", "-c", 'echo "$0" >&2; exit 1', said])


def test_a_program_without_an_answer_is_ended_and_nobody_knows_what_it_did(monkeypatch):
    monkeypatch.setattr(programs, "_TIMEOUT_S", 0.05)
    with pytest.raises(TransientError, match="no answer within"):
        programs.run(["sleep", "60"])
