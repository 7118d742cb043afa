"""Shows a run while it goes on: bars on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from haulage.config.units import shown_bytes
from haulage.run.context.runner import Progress, ThreadRunner

_PLAIN_EVERY_S = 10.0


@contextmanager
def runner_with_progress(*, quiet: bool) -> Iterator[ThreadRunner]:
    """Give a crew of threads whose progress is shown on standard error."""
    if quiet:
        yield ThreadRunner()
    elif sys.stderr.isatty():
        with _bars() as runner:
            yield runner
    else:
        yield ThreadRunner(_Plain().show)


class _Plain:
    """A line now and then, for logs."""

    def __init__(self) -> None:
        self._began = self._told = time.monotonic()

    def show(self, progress: Progress) -> None:
        now = time.monotonic()
        if now - self._told < _PLAIN_EVERY_S:
            return
        self._told = now
        seconds = now - self._began
        print(
            f"{progress.stage}: {progress.listed} listed, {progress.done} of "
            f"{progress.planned} done, {shown_bytes(progress.done_bytes)} at "
            f"{shown_bytes(progress.done_bytes / seconds)}/s, {progress.failed} failed",
            file=sys.stderr,
            flush=True,
        )


@contextmanager
def _bars() -> Iterator[ThreadRunner]:
    """Show three bars; rich is imported only where there is a terminal to draw on."""
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    bars = Bars(
        TextColumn("{task.description:<11}"),
        BarColumn(),
        TextColumn("{task.fields[text]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    entries = bars.add_task("entries", total=None, text="")
    size = bars.add_task("bytes", total=None, text="")
    began = time.monotonic()

    def show(progress: Progress) -> None:
        seconds = max(time.monotonic() - began, 0.001)
        known = progress.finished_listing
        done, planned = progress.done, progress.planned
        sent, to_send = progress.done_bytes, progress.planned_bytes
        bars.update(
            entries,
            description=progress.stage,
            completed=done,
            total=planned if known else None,
            text=f"{done:,}/{planned:,} of {progress.listed:,} listed, "
            f"{done / seconds:,.0f}/s",
        )
        bars.update(
            size,
            completed=sent,
            total=to_send if known else None,
            text=f"{shown_bytes(sent)}/{shown_bytes(to_send)}, "
            f"{shown_bytes(sent / seconds)}/s",
        )

    with bars:
        yield ThreadRunner(show)
