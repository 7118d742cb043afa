"""The place where a run happens: catalog, workspace, movers, and the numbers."""

import contextvars
import logging
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from haulage.catalog.db.engine import Catalog
from haulage.catalog.db.patience import patient
from haulage.catalog.runs import runs
from haulage.catalog.runs.lineage import VERIFY
from haulage.catalog.runs.runs import Run
from haulage.config.policy import Fsync, RunPolicy, Verify
from haulage.errors import (
    CancelledError,
    HaulageError,
    LostRunError,
    TransientError,
)
from haulage.exchange.shard_files import Job
from haulage.launch.launcher import STOP, Launcher
from haulage.planning.pack import Bounds
from haulage.run.context.endpoints import Pair
from haulage.run.context.notes import ListingNotes
from haulage.run.context.progress import RunProgress
from haulage.run.context.runner import Progress
from haulage.run.context.workspace import workspace_of
from haulage.storage.tree.spelling import Probe
from haulage.verbs.lease import Lease, now_s

_TELL_S = 1.0
_POLL_S = 1.0
_ASLEEP_S = 15.0  # what no busy machine keeps a thread waiting for
_HEARTBEAT_S = 10.0
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
    lease: Lease
    notes: list[str] = field(default_factory=list)
    waiting_plan: int | None = None  # the delete plan that this run has kept
    folds_by: Probe | None = None  # of a target that takes several names for one
    mdts: tuple[int, ...] = ()  # over which directories of a Lustre alternate
    listing_notes: ListingNotes = field(init=False)
    _ended: threading.Event = field(default_factory=threading.Event)
    _lost: HaulageError | None = None
    _probed: Pair | None = None

    def __post_init__(self) -> None:
        """Note what the listing tells aside among the run's own counts."""
        self.listing_notes = ListingNotes(self.progress.counts)

    @property
    def policy(self) -> RunPolicy:
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
        movers, split = self.policy.movers, self.pair.split
        return Bounds(shards.max_entries, shards.max_bytes, movers, split)

    @property
    def job(self) -> Job:
        """Return what movers must know beside their actions.

        The target's server is tried out with the first shard that there is. A run that
        only verifies makes no directory there, and may not be allowed to write.
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
        """Return both ends, the target's server tried out; RefusedError may come."""
        if self._probed is None:
            only_looks = self.run.trigger == VERIFY
            self._probed = self.pair if only_looks else self.pair.with_probed_target()
        return self._probed

    def job_of_undo(self, run_id: str) -> Job:
        """Return what movers must know to bring back what a run moved aside.

        They look at nothing but the target.
        """
        return replace(self.job, source=self.pair.target, trash=run_id)

    def check(self) -> None:
        """Raise when the run shall stop: cancelled, taken over, or already over."""
        while self._waits() and not self._ended.wait(_POLL_S):
            pass  # a machine that has slept says first that it lives
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

    def watch(self, note: Callable[[Progress], None]) -> list[threading.Thread]:
        """Start the threads that tell the progress and prove that the driver lives.

        They are three, because whatever a teller does must not stop the proof, and a
        catalog that hangs must not stop who looks at the clock.
        """
        tell = contextvars.copy_context()
        threads = [
            threading.Thread(target=tell.run, args=(self._tell, note), daemon=True),
            threading.Thread(target=self._prove_life, daemon=True),
            threading.Thread(target=self._look_at_clock, daemon=True),
        ]
        for thread in threads:
            thread.start()
        return threads

    def _tell(self, note: Callable[[Progress], None]) -> None:
        while not self._ended.wait(_TELL_S):
            note(self.progress.now())
        note(self.progress.now())

    def _waits(self) -> bool:
        return not self._lost and not STOP.is_set() and self.lease.is_over()

    def prove_life(self, *, waits: bool = False) -> None:
        """Say that this driver lives, which lets its movers act for a while."""
        asked_s = now_s()
        beat = patient(runs.heartbeat) if waits else runs.heartbeat
        beat(self.catalog, self.run, dict(self.progress.counts))
        self.lease.renew(asked_s + runs.HOLD_S)

    def _prove_life(self) -> None:
        while not self._ended.wait(_HEARTBEAT_S):
            try:
                self.prove_life()
            except TransientError as err:
                _log.warning("the catalog does not answer, trying again: %s", err)
            except LostRunError as err:
                self._lost = err
                return

    def _look_at_clock(self) -> None:
        """End all movers when others may take this driver for dead.

        Nobody could say that it lives while the machine slept; that is waited for.
        """
        looked_s = now_s()
        while not self._ended.wait(_POLL_S):
            slept_s = now_s() - looked_s
            if slept_s < _ASLEEP_S:
                looked_s = now_s()
                if self.lease.is_over():
                    self._give_up()
                    return
            elif self._ended.wait(2 * _HEARTBEAT_S):
                return
            else:
                looked_s = now_s()

    def _give_up(self) -> None:
        self._lost = LostRunError(
            f"the catalog could not be told for {runs.HOLD_S} s that run {self.run.id} "
            f"is alive, so another host may take it over; it was stopped: 'haulage "
            f"resume {self.run.id}' goes on"
        )
        self.launcher.kill()

    def end(self) -> None:
        """Make every stage that still goes on stop soon."""
        self._ended.set()
        self.catalog.hurried.set()
