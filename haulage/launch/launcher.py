"""The launcher protocol, whatever runs the movers."""

import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from haulage.exchange.shard_files import Order

STOP = threading.Event()  # set: every wait ends soon, movers are told to stop


@dataclass(frozen=True, slots=True)
class Answer:
    """The end of one attempt: a tally, or the reason why there is none."""

    token: str
    tally: dict[str, int] | None = None
    fatal: str | None = None
    lost: str | None = None
    cancelled: bool = False
    given_back: bool = False  # its mover was told to end by somebody else


@dataclass(frozen=True, slots=True)
class Load:
    """The work in some orders."""

    entries: int
    bytes: int


NOTHING = Load(0, 0)


@dataclass(frozen=True, slots=True)
class NodeWork:
    """What the slots of one machine do: orders under way, entries and bytes a second.

    The rates are means since each slot began.
    """

    node: str
    slots: int
    orders: int
    entries_s: float
    bytes_s: float


class Launcher(Protocol):
    """Has orders carried out by movers, on this machine or elsewhere."""

    @property
    def where(self) -> str:
        """Return a short description of where the movers run, for attempts' records."""
        ...

    def warm_up(self) -> None:
        """Get ready for a first order that is about to come."""
        ...

    def start_or_attach(self, name: str, orders: Sequence[Order], load: Load) -> None:
        """Start `orders` as the job `name`; orders already started continue.

        Their progress files are there. RefusedError if nobody can carry them out.
        """
        ...

    def poll(self, name: str, timeout_s: float) -> list[Answer]:
        """Return the answers since the last poll, waiting for a first one.

        Each order is answered once. FatalError if no answer can be expected any more.
        """
        ...

    def under_way(self, name: str) -> Load:
        """Return what was done so far of the job's orders that are under way."""
        ...

    def nodes(self) -> list[NodeWork]:
        """Return what each machine does; none where all movers are the driver's."""
        ...

    def scale(self, movers: int) -> None:
        """Let so many movers work, or slots of movers, from the next order on."""
        ...

    def drain(self, node: str) -> None:
        """Give no more orders to movers on this node; RefusedError if it has none."""
        ...

    def cancel(self, name: str) -> None:
        """Drop the job's waiting orders; tell running ones to stop."""
        ...

    def finish(self, name: str) -> None:
        """End a job all of whose orders are answered."""
        ...

    def leave(self, name: str) -> None:
        """Let go of a job: another process drives the run, and has what runs alone."""
        ...

    def end_leftovers(self, keep: Collection[str]) -> None:
        """End what an earlier driver's movers still do, but for attempts in `keep`.

        After that nobody acts for any other attempt that was ever ordered. FatalError
        if a process does not end.
        """
        ...

    def kill(self) -> None:
        """End every mover at once; later orders may start some again."""
        ...

    def close(self) -> None:
        """End every mover."""
        ...
