"""What a launcher promises, whatever runs the movers."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from haulage.exchange.shard_files import Order

STOP = threading.Event()  # set: every wait ends soon, movers are told to stop


@dataclass(frozen=True, slots=True)
class Answer:
    """How one attempt ended: with a tally, or with the reason why there is none."""

    token: str
    tally: dict[str, int] | None = None
    fatal: str | None = None
    lost: str | None = None
    cancelled: bool = False


class Launcher(Protocol):
    """Has orders carried out by movers, somewhere."""

    @property
    def where(self) -> str:
        """Return in a few words where the movers run, for the record of an attempt."""
        ...

    def start_or_attach(self, name: str, orders: Sequence[Order]) -> None:
        """Have `orders` done as the job `name`; those it has already go on."""
        ...

    def poll(self, name: str, timeout_s: float) -> list[Answer]:
        """Return the answers that came since the last poll, waiting for a first one."""
        ...

    def cancel(self, name: str) -> None:
        """Drop what the job has not begun; what is under way is told to stop."""
        ...

    def kill(self) -> None:
        """End every mover at once, whatever it does; some may be started again."""
        ...

    def close(self) -> None:
        """End every mover."""
        ...
