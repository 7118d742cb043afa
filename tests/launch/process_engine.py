"""An engine whose slots are processes of this machine, in sessions of their own."""

import os
import signal
import subprocess
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from haulage.errors import RefusedError, TransientError
from haulage.launch.engine import NODE, SLOT, SLOT_START, SlotJob, SlotLife, SlotView


@dataclass(slots=True)
class Slot:
    """A process, and what tests say of it instead of the truth."""

    job: str
    name: str
    node: str
    process: subprocess.Popen
    start: int = 0
    life: SlotLife | None = None  # what the engine says, if it does not look
    is_forgotten: bool = False


@dataclass
class ProcessEngine:
    """Starts slots at once; each is on a node of its own, unless `node` names one."""

    where: str = "processes of a test"
    node: str | None = None
    is_away: bool = False
    answers_late: bool = False  # a submission is done, but its answer is lost
    refuses: str | None = None
    starts_stopped: bool = False
    environ: dict[str, str] = field(default_factory=dict)
    slots: list[Slot] = field(default_factory=list)
    submitted: list[SlotJob] = field(default_factory=list)
    looks: int = 0

    def submit(self, job: SlotJob) -> None:
        self._check()
        if self.refuses:
            raise RefusedError(self.refuses)
        self.submitted.append(job)
        for index in range(job.slots):
            self.start(job, index)
        if self.answers_late:
            self.answers_late = False
            raise TransientError("no answer within 60 s")

    def start(self, job: SlotJob, index: int, start: int = 0) -> Slot:
        """Start a slot, perhaps while an earlier start of it still runs."""
        name = f"{job.name}_{index}"
        node = self.node or f"node-{len(self.slots)}"
        if node in job.excluded_nodes:
            node = f"{node}-spare"
        environ = os.environ | self.environ
        environ |= {SLOT: name, SLOT_START: str(start), NODE: node}
        with (job.logs / f"{name}.err").open("ab") as log:
            process = subprocess.Popen(
                job.command,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if self.starts_stopped:
            process.send_signal(signal.SIGSTOP)
        self.slots.append(Slot(job.name, name, node, process, start))
        return self.slots[-1]

    def look(self, prefix: str) -> list[SlotView]:
        self._check()
        self.looks += 1
        return [
            SlotView(one.job, one.name, _life(one), one.node, _why(one), one.start)
            for one in self.slots
            if one.job.startswith(prefix) and not one.is_forgotten
        ]

    def cancel(self, names: Collection[str]) -> None:
        self._check()
        for one in self.slots:
            if one.job in names and one.process.poll() is None:
                self.signal(one, signal.SIGTERM)

    def signal(self, slot: Slot, number: signal.Signals) -> None:
        """Send a signal to all processes of a slot."""
        with suppress(ProcessLookupError):
            os.killpg(slot.process.pid, number)

    def end(self) -> None:
        """End all slots."""
        for one in self.slots:
            self.signal(one, signal.SIGKILL)
            self.signal(one, signal.SIGCONT)
            one.process.wait()

    def _check(self) -> None:
        if self.is_away:
            raise TransientError("the engine is away")


def pids_of(slot: Slot) -> list[int]:
    """Return the processes of a slot that live."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with suppress(FileNotFoundError, ProcessLookupError):
            fields = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == slot.process.pid and fields[0] not in "ZX":
                found.append(int(name))
    return found


def _life(slot: Slot) -> SlotLife:
    if slot.life is not None:
        return slot.life
    slot.process.poll()
    return SlotLife.RUNNING if pids_of(slot) else SlotLife.ENDED


def _why(slot: Slot) -> str:
    return f"exit code {slot.process.returncode}"
