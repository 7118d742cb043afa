"""The engine protocol: what a batch system or a cluster does for a launcher of slots.

A slot is a process on some machine that claims the orders of one wave until none is
left (haulage.workers.slot). An engine starts slots and tells what became of them. It
never says that an order is done: only the files in the workspace do.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Protocol

# How a slot learns who it is; the engine sets these in its environment.
SLOT = "HAULAGE_SLOT"  # the `slot` of its SlotView
SLOT_START = "HAULAGE_SLOT_START"  # how often the engine has started it anew
NODE = "HAULAGE_NODE"  # the `node` of its SlotView


class SlotLife(Enum):
    """What an engine knows of a slot."""

    WAITING = auto()
    RUNNING = auto()
    ENDED = auto()  # the engine has seen its last process end
    LOST = auto()  # its machine does not answer, so its processes may run on
    HELD = auto()  # it waits for a person; `why` says for what


@dataclass(frozen=True, slots=True)
class SlotView:
    """One slot as its engine sees it; `why` is for a person, in the engine's words.

    `start` counts how often the engine has started it anew: `life` is that of this
    start, and says nothing about the processes of an earlier one.
    """

    job: str
    slot: str
    life: SlotLife
    node: str | None = None
    why: str = ""
    start: int = 0
    out_of_memory: bool = False


@dataclass(frozen=True, slots=True)
class SlotJob:
    """A number of slots under one name, as one object of the engine if it can.

    `name` is unique, and all that a restarted driver has to find the job again.
    `command` and `logs` hold no secret. A slot's output is appended to
    `logs/SLOT.out` and `logs/SLOT.err`. `memory_factor` multiplies the memory that the
    options ask for, after slots ran out of it.
    """

    name: str
    command: Sequence[str]
    logs: Path
    slots: int
    excluded_nodes: frozenset[str] = frozenset()
    memory_factor: int = 1


class Engine(Protocol):
    """Starts slots, and tells what became of them.

    Every method raises TransientError if the engine does not answer, and RefusedError
    if it refuses what it is asked for, with the next step in words.
    """

    @property
    def where(self) -> str:
        """Return a short description of where slots run, for attempts' records."""
        ...

    def submit(self, job: SlotJob) -> None:
        """Start the slots of `job`.

        After a TransientError nobody knows whether the job exists: `look` tells, once
        the engine answers.
        """
        ...

    def look(self, prefix: str) -> list[SlotView]:
        """Return all slots that the engine knows of jobs whose name begins so.

        A job that is not in the answer may be too new or too old to be known: that says
        nothing about its slots.
        """
        ...

    def cancel(self, names: Collection[str]) -> None:
        """End the slots of these jobs; of unknown jobs there is nothing to end."""
        ...
