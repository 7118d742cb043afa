"""Processes that outlive the command that started them, and can be found again.

Each is recorded by its id and its start time, so that a later process which happens to
have the same id is never taken for it.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from haulage.private import make_file
from haulage.process import Process, find

STOP_TIMEOUT_S = 45.0


@dataclass(frozen=True)
class Children:
    """The directory in which the children of one installation are recorded."""

    root: Path

    def log(self, name: str) -> Path:
        """Return the file that has the output of the child `name`."""
        return self.root / f"{name}.log"

    def find(self, name: str) -> Process | None:
        """Return the recorded child if it still lives."""
        try:
            child = Process(**json.loads(self._record(name).read_bytes()))
        except FileNotFoundError:
            return None
        return child if child.is_alive() else None

    def start(
        self, name: str, command: list[str], cwd: Path, env: Mapping[str, str]
    ) -> Process:
        """Start `command` detached from this terminal, and record it."""
        make_file(self.log(name))
        with self.log(name).open("ab") as log:
            process = subprocess.Popen(
                command,
                cwd=cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        child = find(process.pid) or Process(process.pid, started=0)
        self._record(name).write_text(json.dumps(asdict(child)), "utf-8")
        return child

    def stop(self, name: str) -> bool:
        """Stop a child and what it started; False if it was not running."""
        child = self.find(name)
        if child:
            family = [child, *_descendants(child)]
            _end_groups(family[1:])
            _signal(child, signal.SIGTERM)
            _wait(family)
            for left in family:
                _signal(left, signal.SIGKILL)
            _wait(family)
        self._record(name).unlink(missing_ok=True)
        return child is not None

    def _record(self, name: str) -> Path:
        return self.root / f"{name}.json"


def _end_groups(children: list[Process]) -> None:
    """End process groups first, while their parent can still report how they end.

    A flow run leads one; if nobody tells the server of its end, it holds its slot.
    """
    leaders = [
        one for one in children if one.is_alive() and os.getpgid(one.pid) == one.pid
    ]
    for leader in leaders:
        os.killpg(leader.pid, signal.SIGTERM)
    _wait(leaders)


def _wait(family: list[Process]) -> None:
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while any(child.is_alive() for child in family) and time.monotonic() < deadline:
        time.sleep(0.1)


def _signal(child: Process, number: signal.Signals) -> None:
    if child.is_alive():
        os.kill(child.pid, number)


def _descendants(child: Process) -> list[Process]:
    below: dict[int, list[Process]] = {}
    for pid in (int(name) for name in os.listdir("/proc") if name.isdigit()):
        if found := find(pid):
            below.setdefault(found.parent, []).append(found)
    family = [child]
    for member in family:
        family += below.get(member.pid, [])
    return family[1:]
