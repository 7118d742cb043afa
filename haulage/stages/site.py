"""The place where a run happens: catalog, workspace, movers, and the numbers."""

import contextvars
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from haulage.catalog import runs
from haulage.catalog.datasets import DatasetRow
from haulage.catalog.engine import Catalog, home
from haulage.catalog.runs import Run
from haulage.errors import CancelledError, HaulageError
from haulage.launch.base import STOP, Launcher
from haulage.ops.pack import Bounds
from haulage.policy import Fsync, Policy, Verify
from haulage.shardfile import Job
from haulage.stages.crew import Progress
from haulage.stages.meter import Meter

_TICK_S = 1.0
_TICKS_A_HEARTBEAT = 10


def workspace_of(run: Run) -> Path:
    """Return the directory where a run's shard files, outcomes and logs are."""
    return home() / "work" / run.id


@dataclass(slots=True)
class Site:
    """What every stage of one run works with."""

    catalog: Catalog
    row: DatasetRow
    run: Run
    launcher: Launcher
    meter: Meter
    notes: list[str] = field(default_factory=list)
    _ended: threading.Event = field(default_factory=threading.Event)
    _lost: HaulageError | None = None

    @property
    def policy(self) -> Policy:
        """Return the policy that the run began with."""
        return self.run.policy

    @property
    def workspace(self) -> Path:
        """Return the run's own directory, which every mover sees."""
        return workspace_of(self.run)

    @property
    def bounds(self) -> Bounds:
        """Return how shards are cut."""
        shards = self.policy.shards
        return Bounds(shards.max_entries, shards.max_bytes, self.policy.movers)

    @property
    def job(self) -> Job:
        """Return what movers must know beside their actions."""
        return Job(
            source=self.row.dataset.source,
            target=self.row.dataset.target,
            temp_token=self.run.temp_token,
            hashing=self.policy.verify is Verify.CHECKSUM,
            fsync=self.policy.fsync is Fsync.FILE,
            verify_content=self.policy.verify in (Verify.CHECKSUM, Verify.SAMPLE),
            allow_empty_source=self.policy.allow_empty_source,
        )

    def check(self) -> None:
        """Raise when the run shall stop: cancelled, taken over, or already over."""
        if self._lost:
            raise self._lost
        if STOP.is_set() or self._ended.is_set():
            raise CancelledError(
                f"run {self.run.id} was stopped; 'haulage resume {self.run.id}' goes on"
            )

    def pause(self, round_: int) -> None:
        """Wait before another try: a second, doubled with each round, with jitter."""
        jitter = random.uniform(0.75, 1.25)  # noqa: S311  it protects no secret
        if STOP.wait(min(30.0, 2.0 ** (round_ - 1)) * jitter):
            self.check()

    def watch(self, note: Callable[[Progress], None]) -> threading.Thread:
        """Start the thread that tells the progress and proves that the driver lives."""
        context = contextvars.copy_context()
        thread = threading.Thread(
            target=context.run, args=(self._tick, note), daemon=True, name="watch"
        )
        thread.start()
        return thread

    def _tick(self, note: Callable[[Progress], None]) -> None:
        ticks = 0
        while not self._ended.wait(_TICK_S):
            ticks += 1
            note(self.meter.progress())
            if ticks % _TICKS_A_HEARTBEAT == 0 and not self._beat():
                return

    def _beat(self) -> bool:
        """Prove to the catalog that we live; tell whether the run is still ours."""
        try:
            runs.heartbeat(self.catalog, self.run, dict(self.meter.counts))
        except HaulageError as err:
            self._lost = err
        return self._lost is None

    def end(self) -> None:
        """Make every stage that still goes on stop soon."""
        self._ended.set()
