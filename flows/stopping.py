"""Stop the movers when a flow run stops."""

from collections.abc import Iterator
from contextlib import contextmanager

from haulage.launch.launcher import STOP


@contextmanager
def movers_stopped_early() -> Iterator[None]:
    """Set STOP when the sequence is cancelled or fails.

    A cancel is a SIGTERM, which Prefect turns into an exception of the main thread
    alone; the threads that wait for waves learn of it from STOP. Prefect's handler must
    stay installed: without it Prefect takes a cancel for a crash.
    """
    STOP.clear()
    try:
        yield
    except BaseException:
        STOP.set()
        raise
