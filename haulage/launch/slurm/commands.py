"""The command lines of SLURM's programs."""

from collections.abc import Collection, Iterator, Sequence

from haulage.config.launchers import Slurm
from haulage.launch.engine import SlotJob
from haulage.launch.slurm.script import is_a_step

# Of squeue's answers: no name, reason or list of nodes has it.
SEPARATOR = "\x1f"
FIELDS = (
    *("ArrayJobID", "ArrayTaskID", "RestartCnt", "State", "NodeList", "exit_code"),
    *("Name", "Reason"),
)
_SLACK_S = 600  # by which clocks may differ
_SIGNAL = "USR1"  # a slot finishes its present entry, and there is time for it
_PLAIN = (
    *("partition", "account", "qos", "reservation", "constraint", "gres", "licenses"),
    *("nice", "comment"),
)


def sbatch(launcher: Slurm, job: SlotJob, tasks: int) -> list[str]:
    """Return what submits an array; the script comes by standard input.

    The array has all of the environment of sbatch, which therefore must hold nothing
    else than a slot needs: with --export=NONE a node would run the user's login shell.
    """
    logs = str(job.logs).replace("%", "%%")
    to = "" if is_a_step(launcher) else "B:"
    fixed = [
        *("sbatch", "--parsable", f"--job-name={job.name}", f"--array=0-{tasks - 1}"),
        *(f"--output={logs}/%A_%a.out", f"--error={logs}/%A_%a.err"),
        *("--open-mode=append", "--export=ALL", "--chdir=/"),
        *("--nodes=1", "--ntasks=1", f"--cpus-per-task={launcher.cpus_per_slot}"),
        "--requeue" if launcher.requeue else "--no-requeue",
        f"--signal={to}{_SIGNAL}@{round(launcher.end_lead)}",
    ]
    return [*fixed, *_asked_for(launcher, job)]


def _asked_for(launcher: Slurm, job: SlotJob) -> Iterator[str]:
    for name in _PLAIN:
        if (value := getattr(launcher, name)) is not None:
            yield f"--{name}={value}"
    if launcher.memory_per_slot:
        wanted = launcher.memory_per_slot * job.memory_factor
        yield f"--mem={-(-wanted // (1 << 20))}M"
    if launcher.time_limit:
        minutes, seconds = divmod(round(launcher.time_limit), 60)
        yield f"--time={minutes}:{seconds:02}"
    if launcher.exclusive:
        yield "--exclusive"
    excluded = [launcher.exclude] if launcher.exclude else []
    if excluded := [*excluded, *sorted(job.excluded_nodes)]:
        yield f"--exclude={','.join(excluded)}"
    yield from launcher.extra


def squeue(names: Collection[str] = ()) -> list[str]:
    """Return what lists all tasks of the user's jobs, or of those with these names."""
    wanted = ",".join(f"{field}:{SEPARATOR}" for field in FIELDS)
    words = ["squeue", "--me", "--states=all", "--array", "--noheader"]
    named = [f"--name={','.join(sorted(names))}"] if names else []
    return [*words, *named, f"--Format={wanted}"]


def sinfo(nodes: Collection[str]) -> list[str]:
    """Return what tells the states of nodes."""
    listed = ",".join(sorted(nodes))
    return ["sinfo", "--noheader", "--Node", f"--nodes={listed}", "--format=%N %T"]


def sacct(array: str, age_s: float) -> list[str]:
    """Return what tells all starts of an array's tasks.

    Without a time only jobs since midnight would be told; older ones may have its id.
    """
    return [
        *("sacct", "-X", "-P", "-n", "--duplicates", f"--jobs={array}"),
        f"--starttime=now-{round(age_s) + _SLACK_S}seconds",
        "--format=JobID,State,ExitCode,NodeList",
    ]


def scancel(jobs: Sequence[str]) -> list[str]:
    """Return what ends jobs with all their tasks."""
    return ["scancel", *jobs]


def configuration() -> list[str]:
    """Return what tells the limits of the cluster."""
    return ["scontrol", "show", "config"]
