"""What a history is: nights, each after a day."""

from dataclasses import dataclass, replace
from enum import StrEnum


class Fate(StrEnum):
    """How the run of a night comes to its end."""

    PEACE = "peace"
    RESUMED = "resumed"  # it is killed, and gone on with
    SUPERSEDED = "superseded"  # it is killed, and another follows


@dataclass(frozen=True)
class Night:
    """A day's lines of bash, then a run with these options."""

    day: tuple[str, ...]
    options: tuple[str, ...]
    is_full: bool
    rested: bool = True  # nothing is younger than two seconds when the run begins
    guests: tuple[bytes, ...] = ()  # directories of the target with a foreign file
    fate: Fate = Fate.PEACE
    killed_after_s: float = 0.0
    again: bool = False  # a second run follows, which must do nothing
    verified: bool = False  # `haulage verify` follows, which must find nothing

    def without_line(self, start: int, end: int) -> "Night":
        """Return the night without some lines of its day."""
        return replace(self, day=self.day[:start] + self.day[end:])


History = tuple[Night, ...]
