"""What SLURM's accounting knows of tasks that its controller has forgotten."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from haulage.boottime import now_s
from haulage.errors import HaulageError
from haulage.launch.engine import SlotLife
from haulage.launch.slurm import commands
from haulage.launch.slurm.answers import Task, records_of
from haulage.launch.slurm.programs import run
from haulage.launch.slurm.states import life_of

_PAUSE_S = 5.0, 300.0  # before an array is asked for again, growing
_OFF = "accounting storage is disabled"
_FINAL = (SlotLife.ENDED, SlotLife.LOST)


@dataclass(slots=True)
class _Array:
    """An array that this driver submitted."""

    name: str
    tasks: int
    since_s: float
    pause_s: float = _PAUSE_S[0]
    due_s: float = 0.0
    told: dict[str, Task] = field(default_factory=dict)  # by index

    def lacks(self, seen: Collection[tuple[str, str]], array: str) -> bool:
        """Tell whether nothing is known of one of its tasks."""
        indices = map(str, range(self.tasks))
        return any((array, i) not in seen and i not in self.told for i in indices)


@dataclass(slots=True)
class Accounting:
    """Asks sacct for one array at a time, and only for what squeue does not list.

    An answer without a task says nothing: accounting lags behind.
    """

    requeues: bool
    is_off: bool = False
    _arrays: dict[str, _Array] = field(default_factory=dict)

    def remember(self, array: str, name: str, tasks: int) -> None:
        """Take note of an array that was submitted now."""
        self._arrays[array] = _Array(name, tasks, now_s())

    def forgotten(self, prefix: str, listed: Collection[Task]) -> Iterator[Task]:
        """Return what is known of tasks that are not listed and have ended."""
        seen = {(task.array, task.index) for task in listed}
        for array, known in self._arrays.items():
            if not known.name.startswith(prefix):
                continue
            if not self.is_off and known.lacks(seen, array) and now_s() >= known.due_s:
                self._ask(array, known)
            for index, task in known.told.items():
                if (array, index) not in seen:
                    yield task

    def _ask(self, array: str, known: _Array) -> None:
        known.due_s = now_s() + known.pause_s
        known.pause_s = min(2 * known.pause_s, _PAUSE_S[1])
        try:
            said = run(commands.sacct(array, now_s() - known.since_s))
        except HaulageError:  # without accounting less is known, and nothing is wrong
            return
        self.is_off = _OFF in said.err
        for task in records_of(said.out, known.name):
            life = life_of(task.state, requeues=self.requeues)
            if task.array == array and life in _FINAL:
                known.told[task.index] = task
