"""Run context: catalog, workspace, movers and counters of one run."""

import contextvars
import logging
import random
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from haulage.catalog.db.engine import Catalog
from haulage.catalog.db.patience import patient
from haulage.catalog.runs import live, runs
from haulage.catalog.runs.attempts import Attempt
from haulage.catalog.runs.lineage import VERIFY
from haulage.catalog.runs.live import Wanted
from haulage.catalog.runs.runs import Run
from haulage.config.policy import Fsync, RunPolicy, Verify
from haulage.errors import RefusedError
from haulage.exchange.shard_files import Job
from haulage.launch.launcher import STOP, Launcher
from haulage.planning.pack import Bounds
from haulage.run.context.endpoints import Pair
from haulage.run.context.heartbeat import Heartbeat
from haulage.run.context.notes import ListingNotes
from haulage.run.context.progress import RunProgress
from haulage.run.context.runner import Progress
from haulage.run.context.workspace import workspace_of
from haulage.storage.tree.filesystem.spelling import Probe

_TELL_S = 1.0
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class RunContext:
    """What every stage of one run works with."""

    catalog: Catalog
    dataset: str
    run: Run
    pair: Pair
    launcher: Launcher
    progress: RunProgress
    heartbeat: Heartbeat
    notes: list[str] = field(default_factory=list)
    waiting_plan: int | None = None  # the delete plan that this run has kept
    folds_by: Probe | None = None  # of a target that takes several names for one
    mdts: tuple[int, ...] = ()  # over which directories of a Lustre alternate
    listing_notes: ListingNotes = field(init=False)
    # Attempts that outlived an earlier driver of the run, and are not attached to yet.
    left_running: list[Attempt] = field(default_factory=list)
    _wanted: Wanted = field(default_factory=Wanted)
    _probed: Pair | None = None

    def __post_init__(self) -> None:
        """Keep the listing notes among the run's own counts."""
        self.listing_notes = ListingNotes(self.progress.counts)

    @property
    def policy(self) -> RunPolicy:
        """Return the policy that the run began with."""
        return self.run.policy

    @property
    def workspace(self) -> Path:
        """Return the run's own directory, which every mover can see."""
        return workspace_of(self.run)

    @property
    def bounds(self) -> Bounds:
        """Return the bounds of a shard."""
        shards = self.policy.shards
        movers, splits = self.policy.movers, self.pair.splits
        return Bounds(shards.max_entries, shards.max_bytes, movers, splits)

    @property
    def job(self) -> Job:
        """Return what movers need to know besides their actions.

        The target's server is probed before the first shard. A run that only verifies
        creates no directory there, and may have no permission to write.
        """
        pair = self.probed()
        return Job(
            source=pair.source,
            target=pair.target,
            temp_token=self.run.temp_token,
            hashing=self.policy.verify is Verify.CHECKSUM,
            fsync=self.policy.fsync is Fsync.FILE,
            verify_content=self.policy.verify in (Verify.CHECKSUM, Verify.SAMPLE),
            allow_empty_source=self.policy.allow_empty_source,
            preserve=tuple(map(str, self.policy.preserve)),
            trust_metadata=self.policy.trust_metadata,
            trash=None if self.policy.trash is None else self.run.id,
            stripe=self.policy.stripe,
            mdts=self.mdts,
            folds=self.folds_by is not None,
        )

    def probed(self) -> Pair:
        """Return both endpoints, the target's server probed; RefusedError may come."""
        if self._probed is None:
            only_looks = self.run.trigger == VERIFY
            self._probed = self.pair if only_looks else self.pair.with_probed_target()
        return self._probed

    def job_of_undo(self, run_id: str) -> Job:
        """Return what movers need to know to restore the trash of a run.

        They access only the target.
        """
        return replace(self.job, source=self.pair.target, trash=run_id)

    def check(self) -> None:
        """Raise if the run must stop: cancelled, taken over, or already ended."""
        self.heartbeat.check()

    def pause(self, round_: int) -> None:
        """Wait before another round: a second, doubled with each one, with jitter."""
        jitter = random.uniform(0.75, 1.25)  # noqa: S311  it protects no secret
        if STOP.wait(min(30.0, 2.0 ** (round_ - 1)) * jitter):
            self.check()

    def watch(self, note: Callable[[Progress], None]) -> list[threading.Thread]:
        """Start the threads that report the progress and keep the lease.

        There are three, because a slow progress display must not stop the heartbeat,
        and a catalog that hangs must not stop the clock check.
        """
        tell = contextvars.copy_context()
        teller = threading.Thread(target=tell.run, args=(self._tell, note), daemon=True)
        teller.start()
        return [teller, *self.heartbeat.start(self._beat_and_obey)]

    def _tell(self, note: Callable[[Progress], None]) -> None:
        while not self.heartbeat.ended.wait(_TELL_S):
            note(self._now())
        note(self._now())

    def _now(self) -> Progress:
        return replace(self.progress.now(), nodes=tuple(self.launcher.nodes()))

    def prove_life(self) -> None:
        """Send a heartbeat, which lets the driver's movers act until the lease ends."""
        self.heartbeat.beat(lambda: self._beat(patient(runs.heartbeat)))

    def _beat(self, heartbeat: Callable[..., None]) -> None:
        heartbeat(self.catalog, self.run, dict(self.progress.counts))

    def _beat_and_obey(self) -> None:
        self._beat(runs.heartbeat)
        nodes = [asdict(work) for work in self.launcher.nodes()]
        self._obey(live.exchange(self.catalog, self.run, nodes))

    def _obey(self, wanted: Wanted) -> None:
        """Do what a person wants of the run, once."""
        if wanted.movers is not None and wanted.movers != self._wanted.movers:
            self.launcher.scale(wanted.movers)
        for node in {*wanted.drained} - {*self._wanted.drained}:
            try:
                self.launcher.drain(node)
            except RefusedError as err:
                _log.warning("%s", err)
        self._wanted = wanted

    def end(self) -> None:
        """Make every stage that still works stop soon."""
        self.heartbeat.ended.set()
        self.catalog.hurried.set()
