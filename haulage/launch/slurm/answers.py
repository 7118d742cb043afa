"""Read the answers of SLURM's programs."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from haulage.launch.slurm.commands import FIELDS, SEPARATOR

_NOTHING = ("", "N/A", "(null)", "None", "None assigned")
_ID = re.compile(r"^(\d+)(;\S+)?$", re.MULTILINE)
_SLOT = re.compile(r"(\d+)_(\d+)")
_NO_LIMIT = 1001  # as SLURM has it without a word


@dataclass(frozen=True, slots=True)
class Task:
    """One task of an array, in SLURM's words."""

    array: str
    index: str
    restarts: int
    state: str
    node: str | None
    exit_code: str  # as `3:0`; of a signal `0:9`
    name: str
    reason: str


def job_id(said: str) -> str | None:
    """Return the id that `sbatch --parsable` tells, whatever plugins tell around it."""
    found = _ID.findall(said)
    return found[-1][0] if found else None


def tasks_of(said: str) -> Iterator[Task]:
    """Return the tasks that squeue lists; a line that is none is left out.

    Such a line is of a job that somebody named with a line break.
    """
    for line in said.splitlines():
        parts = line.split(SEPARATOR)[:-1]
        if len(parts) != len(FIELDS):
            continue
        array, index, restarts, state, nodes, status, name, reason = map(
            str.strip, parts
        )
        if index.isdecimal() and restarts.isdecimal():
            node = None if nodes in _NOTHING else nodes
            code = exit_code(status)
            yield Task(array, index, int(restarts), state, node, code, name, reason)


def records_of(said: str, name: str) -> list[Task]:
    """Return the tasks of the job `name` that sacct lists, as they were last.

    A task that was started again has a record for each of its starts.
    """
    found: dict[str, Task] = {}
    for line in said.splitlines():
        parts = line.split("|")
        slot = _SLOT.fullmatch(parts[0])
        if not slot or len(parts) != 4:
            continue
        _, state, code, nodes = parts
        starts = found[parts[0]].restarts + 1 if parts[0] in found else 0
        node = None if nodes in _NOTHING else nodes
        found[parts[0]] = Task(slot[1], slot[2], starts, state, node, code, name, "")
    return list(found.values())


def exit_code(status: str) -> str:
    """Return a wait status as SLURM's `CODE:SIGNAL`."""
    number = int(status) if status.isdecimal() else 0
    return f"{number >> 8 & 0xFF}:{number & 0x7F}"


def most_tasks(said: str) -> int:
    """Return how many tasks an array may have, as `scontrol show config` tells."""
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", said, re.MULTILINE)
    size = int(found[1]) if found else _NO_LIMIT
    found = re.search(r"\bmax_array_tasks=(\d+)", said)
    return min(size, int(found[1])) if found else size


def node_states(said: str) -> dict[str, str]:
    """Return the states of nodes that sinfo lists."""
    pairs = (line.split() for line in said.splitlines())
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}
