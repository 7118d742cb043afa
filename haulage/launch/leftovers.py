"""End the movers that a dead driver left behind."""

import os
import select
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from haulage.errors import FatalError

_WAIT_MS = 5000


def end_leftover_movers(logs: Path) -> None:
    """End every process of this machine that writes a mover's log in `logs`.

    A mover ends by itself when its driver is gone, but not while it is stopped
    (SIGSTOP): it may have a file open that others fill and publish meanwhile. Movers in
    another PID or mount namespace cannot be seen; their run is taken over only after
    their lease has expired.
    """
    for pid, handle in _movers(logs):
        try:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
            if not _has_ended(handle):
                raise FatalError(
                    f"mover {pid} of an earlier attempt does not end: it hangs in the "
                    "kernel because its storage does not answer; resume when it is "
                    "gone"
                )
        finally:
            os.close(handle)


def _movers(logs: Path) -> Iterator[tuple[int, int]]:
    """Yield each process's id, and a handle that no other process can inherit."""
    mine = os.fsencode(logs / "mover-")
    for pid in [int(name) for name in os.listdir("/proc") if name.isdigit()]:
        try:
            handle = os.pidfd_open(pid)
        except OSError:
            continue  # it has ended, or is a thread
        try:
            is_ours = os.readlink(b"/proc/%d/fd/2" % pid).startswith(mine)
        except OSError:  # it has ended, or is another user's
            is_ours = False
        if is_ours:
            yield pid, handle
        else:
            os.close(handle)


def _has_ended(handle: int) -> bool:
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    return bool(poll.poll(_WAIT_MS))
