"""The engine of SLURM: arrays are submitted, listed and cancelled."""

import logging
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import replace

from haulage.config.launchers import Slurm
from haulage.errors import HaulageError, RefusedError, TransientError
from haulage.launch.engine import SlotJob, SlotLife, SlotView
from haulage.launch.slurm import commands
from haulage.launch.slurm.accounting import Accounting
from haulage.launch.slurm.answers import (
    Task,
    job_id,
    most_tasks,
    node_states,
    tasks_of,
)
from haulage.launch.slurm.programs import ask, run
from haulage.launch.slurm.refusals import is_too_many, refusal
from haulage.launch.slurm.script import script_of
from haulage.launch.slurm.states import is_away, is_out_of_memory, life_of

_log = logging.getLogger(__name__)
_BATCH = 100  # jobs that one scancel ends
_GONE = ("Invalid job id", "already completing or completed")


class SlurmEngine:
    """Slots are tasks of arrays; their name is all that is needed to find them."""

    def __init__(self, launcher: Slurm) -> None:
        """Ask nothing yet."""
        self._launcher = launcher
        self._accounting = Accounting(launcher.requeue)
        self._most_tasks: int | None = None
        # Slots and starts that have ended: as their nodes told, or as nobody can tell.
        self._proven: dict[tuple[str, int], bool] = {}

    @property
    def where(self) -> str:
        """See Engine."""
        partition = self._launcher.partition
        return f"SLURM, partition {partition}" if partition else "SLURM"

    def submit(self, job: SlotJob) -> None:
        """See Engine; where the cluster takes no such array there are several."""
        size, left = self._limit(), job.slots
        started: list[str] = []
        while left:
            size = min(size, left)
            said = run(
                commands.sbatch(self._launcher, job, size),
                script_of(self._launcher, job.command),
            )
            if not said.code:
                started.append(_id_of(said.out))
                self._accounting.remember(started[-1], job.name, size)
                left -= size
            elif size > 1 and is_too_many(said.err):
                size //= 2
            elif started and is_too_many(said.err):
                _log.warning("%s: SLURM takes no more slots: %s", job.name, said.err)
                return
            else:
                self._give_up(started)
                raise refusal(said.err)

    def _limit(self) -> int:
        if self._most_tasks is None:
            self._most_tasks = most_tasks(ask(commands.configuration()))
        if not self._most_tasks:
            raise RefusedError(
                "this cluster takes no job arrays (MaxArraySize=0), which Haulage "
                "needs; ask whoever runs it for a MaxArraySize of 1001"
            )
        return self._most_tasks

    def _give_up(self, jobs: Collection[str]) -> None:
        with suppress(HaulageError):
            _scancel(jobs)

    def look(self, prefix: str) -> list[SlotView]:
        """See Engine."""
        tasks = [
            task
            for task in tasks_of(ask(commands.squeue()))
            if task.name.startswith(prefix)
        ]
        tasks += self._accounting.forgotten(prefix, tasks)
        views = [self._view(task) for task in tasks]
        return list(self._proved(views))

    def _view(self, task: Task) -> SlotView:
        return SlotView(
            job=task.name,
            slot=f"{task.array}_{task.index}",
            life=life_of(task.state, task.reason, requeues=self._launcher.requeue),
            node=task.node,
            why=_why(task),
            start=task.restarts,
            out_of_memory=is_out_of_memory(task.state),
        )

    def _proved(self, views: Collection[SlotView]) -> Iterator[SlotView]:
        """Take no node's word for an end that it cannot have told.

        A task of which SLURM gave up the node has ended for SLURM alone.
        """
        ended = [view for view in views if view.life is SlotLife.ENDED]
        new = [view for view in ended if (view.slot, view.start) not in self._proven]
        nodes = {view.node for view in new if view.node}
        states = node_states(ask(commands.sinfo(nodes))) if nodes else {}
        for view in new:
            is_told = not view.node or not is_away(states.get(view.node, "unknown"))
            self._proven[view.slot, view.start] = is_told
        for view in views:
            is_told = self._proven.get((view.slot, view.start), True)
            yield view if is_told else _lost(view)

    def cancel(self, names: Collection[str]) -> None:
        """See Engine."""
        if names:
            tasks = tasks_of(ask(commands.squeue(names)))
            _scancel({task.array for task in tasks if task.name in names})


def _id_of(said: str) -> str:
    if (found := job_id(said)) is None:
        raise TransientError(f"sbatch told no job id: {said.strip()!r}")
    return found


def _scancel(jobs: Collection[str]) -> None:
    ordered = sorted(jobs, key=int)
    for at in range(0, len(ordered), _BATCH):
        said = run(commands.scancel(ordered[at : at + _BATCH]))
        errors = [line for line in said.err.splitlines() if line.strip()]
        if said.code and not all(any(w in line for w in _GONE) for line in errors):
            raise TransientError(f"scancel: {' '.join(said.err.split())}")


def _why(task: Task) -> str:
    """Return the state and what explains it, such as `FAILED, exit code 3:0`."""
    parts = [task.state]
    if task.reason not in ("", "None"):
        parts.append(task.reason)
    if task.exit_code != "0:0":
        parts.append(f"exit code {task.exit_code}")
    return ", ".join(parts)


def _lost(view: SlotView) -> SlotView:
    why = f"{view.why}, while node {view.node} did not answer"
    return replace(view, life=SlotLife.LOST, why=why)
