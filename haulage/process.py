"""A process of this machine, told apart from later ones with the same pid."""

from dataclasses import dataclass, field

_PARENT, _STARTED = 1, 19  # of the fields of /proc/PID/stat, from the state on


@dataclass(frozen=True)
class Process:
    """A process, whoever started it."""

    pid: int
    started: int  # clock ticks since boot
    parent: int = field(default=0, compare=False)  # another one when the first is gone

    def is_alive(self) -> bool:
        """Tell whether this very process exists, and is not a zombie."""
        return find(self.pid) == self


def find(pid: int) -> Process | None:
    """Return the process that has a pid now; None if it has ended."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            fields = stat.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    if fields[0] in b"ZX":
        return None
    return Process(pid, int(fields[_STARTED]), int(fields[_PARENT]))
