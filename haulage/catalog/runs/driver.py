"""The driver of a run: its process, its host, and whether it lives."""

import os
import socket
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, auto
from pathlib import Path

from haulage.catalog.db.schema import machine_id

# Longer than a database may be away (patience), so that its restart ends no run.
LEASE_S = 120
HOLD_S = LEASE_S - 20  # when a driver that is not heard gives up, before others take it
LONG_OVER_S = 10 * LEASE_S


class Life(Enum):
    """What is known of a run's driver."""

    ALIVE = auto()
    SILENT = auto()  # its lease is over; it may be cut off, and come back
    DEAD = auto()


@dataclass(frozen=True)
class Driver:
    """A process; `pid_started` tells it from a later one with the same number."""

    host: str
    pid: int
    pid_started: int  # clock ticks after boot
    boot: str | None = None  # which boot of the host; none where that was not told

    @staticmethod
    def here() -> "Driver":
        """Return the calling process."""
        started = _started(os.getpid())
        if started is None:
            raise RuntimeError("/proc does not show this process; is /proc mounted?")
        return Driver(_host(), os.getpid(), started, boot_id())

    def is_local(self) -> bool:
        """Tell whether this process can look the driver up by its number."""
        return self.host == _host()

    def is_alive(self) -> bool:
        """Tell whether the process still runs; only for a local driver."""
        is_of_this_boot = self.boot in (None, boot_id())
        return is_of_this_boot and _started(self.pid) == self.pid_started

    def life(self, silent: timedelta) -> Life:
        """Tell whether the driver lives.

        On this host its process is looked up; on another one, `silent` tells for how
        long it sent no heartbeat.
        """
        if self.is_local():
            return Life.ALIVE if self.is_alive() else Life.DEAD
        if abs(silent.total_seconds()) < LEASE_S:
            return Life.ALIVE
        return Life.DEAD if silent.total_seconds() > LONG_OVER_S else Life.SILENT


def boot_id() -> str:
    """Return an id that distinguishes this boot of the machine from all others."""
    file = Path("/proc/sys/kernel/random/boot_id")
    return file.read_text(encoding="ascii").strip()


def _host() -> str:
    # Containers may share a machine id through their image, or a host name through
    # their network; a process number means something in one PID namespace only.
    namespace = os.stat("/proc/self/ns/pid").st_ino
    return f"{machine_id()}/{socket.gethostname()}/{namespace}"


def _started(pid: int) -> int | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field, the program's name, may hold spaces and parentheses.
    fields = stat[stat.rindex(b")") + 2 :].split()
    is_dead = fields[0] in b"ZX"
    return None if is_dead else int(fields[19])
