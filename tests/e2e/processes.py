"""Find the processes of one place, whoever started them, and end some."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from haulage.process import find
from tests.e2e.place import Place

_POLL_S = 0.005
_PATIENCE_S = 120.0


def of_place(place: Place, module: str = "") -> list[int]:
    """Return the ids of Haulage's processes whose $HAULAGE_HOME is the place's, and in
    whose command line `module` occurs.

    What this process keeps for its own next run is not among them.
    """
    mark = b"HAULAGE_HOME=" + os.fsencode(place.home) + b"\0"
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            environment = Path(f"/proc/{name}/environ").read_bytes()
            command = Path(f"/proc/{name}/cmdline").read_bytes()
        except OSError:
            continue  # it has ended, or is the kernel's
        ours = b"haulage." in command or b"/haulage\0" in command
        if ours and mark in environment + b"\0" and module.encode() in command:
            found.append(int(name))
    return sorted(pid for pid in found if not _is_kept_here(pid))


def _is_kept_here(pid: int) -> bool:
    found = find(pid)
    if found is None or found.parent != os.getpid():
        return False
    return b"haulage.forkserver" in Path(f"/proc/{pid}/cmdline").read_bytes()


def start(place: Place, *words: str | Path) -> subprocess.Popen[bytes]:
    """Start `haulage` in the place and return at once."""
    return subprocess.Popen(
        place.command(*words),
        env=place.environment(),
        cwd=place.root,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def wait_until(
    holds: Callable[[], bool], process: subprocess.Popen[bytes] | None = None
) -> None:
    """Return when `holds`, or when the process has ended."""
    deadline = time.monotonic() + _PATIENCE_S
    while not holds() and (process is None or process.poll() is None):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(_POLL_S)


def kill(pid: int) -> None:
    """End a process at once, if it is still there."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def outcomes_in(place: Place) -> int:
    """Return how many shards of the present run have left their outcome."""
    return sum(1 for _ in place.home.glob("work/*/outcomes/*.parquet"))
