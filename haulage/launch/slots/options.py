"""What a launcher of slots needs to know, whichever engine starts them."""

import sys
from dataclasses import dataclass
from pathlib import Path

from haulage.exchange.wave_files import Setup
from haulage.launch.launcher import NOTHING, Load

SLOT_MODULE = "haulage.workers.slot"


@dataclass(frozen=True, slots=True)
class SlotOptions:
    """How many slots there may be, and how they are watched.

    A job's name begins with `prefix`, which no other run has. Orders whose `load` is
    below `small` in both counts are carried out by movers of the driver. The engine is
    asked every `poll_s` seconds, a slot tells every `setup.look_s`, and an attempt's
    own lease lasts `hold_s`.
    A new job may be missing in the engine's answers for `unseen_s`.
    """

    prefix: str
    slots: int
    setup: Setup
    small: Load = NOTHING
    poll_s: float = 15.0
    hold_s: float = 60.0
    unseen_s: float = 120.0
    python: str = sys.executable

    def command(self, wave: Path, job: str) -> tuple[str, ...]:
        """Return what starts a slot of a job."""
        return (self.python, "-P", "-X", "utf8", "-m", SLOT_MODULE, str(wave), job)

    def is_small(self, load: Load) -> bool:
        """Tell whether starting a job for it costs more than it spreads."""
        return load.entries <= self.small.entries and load.bytes <= self.small.bytes
