"""A mover: reads shard files, carries out their actions, and writes the outcomes.

Local workers, pods and cluster jobs execute it. It needs the source, the target and the
workspace, and no database. Orders are lines of JSON on standard input; a line on
standard output answers each. It stops, removing its temporary, on SIGTERM or when its
input ends, because then nobody waits for it any more.
"""

import haulage.start  # comes before all else

# isort: split

import haulage.lean  # noqa: F401  comes before pyarrow

# isort: split

import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from queue import SimpleQueue

import pyarrow as pa

from haulage.config.striping import rules_of
from haulage.errors import CancelledError, FatalError
from haulage.exchange.shard_files import Job, Order, read_shard, write_outcomes
from haulage.model import Action, Outcome, Verb
from haulage.place import Place
from haulage.storage.buckets.objects.altered_keys import Spellings
from haulage.storage.buckets.objects.store import Objects
from haulage.storage.buckets.objects.tagged import TaggedObjects
from haulage.storage.buckets.objects.untrusted_metadata import DoubtedObjects
from haulage.storage.buckets.open import open_bucket
from haulage.storage.buckets.protocol import Bucket
from haulage.storage.store import Store
from haulage.storage.tree.beside import KernelFiles
from haulage.storage.tree.descent import Descent
from haulage.storage.tree.files import temp_name
from haulage.storage.tree.filesystem.spelling import Spelling
from haulage.storage.tree.kernel.copying import Kernel
from haulage.storage.tree.lustre.directories import LustreMaker
from haulage.storage.tree.metadata.preserve import Preserved
from haulage.storage.tree.store import Files, Settings
from haulage.storage.tree.trash.move import trash_of
from haulage.verbs.attempt.attempt import Attempt, Room
from haulage.verbs.attempt.fence import Fence
from haulage.verbs.attempt.lease import Lease
from haulage.verbs.attempt.leased_fence import LeasedFence
from haulage.verbs.attempt.sweep import sweep
from haulage.verbs.delete import check_source_has_entries
from haulage.verbs.perform import perform, perform_many

STOP = threading.Event()  # this process was told to end
_RANGE_THREADS = 16  # of one mover, for the parts of its large entries


def run_shard(order: Order, cancelled: Callable[[], bool]) -> dict[str, int]:
    """Carry out one shard and return its tally.

    FatalError and CancelledError leave it unfinished; the latter is also raised when
    another attempt has the shard meanwhile.
    """
    actions, job = read_shard(order.shard)
    rows = [Action(*row) for row in zip(*map(_plain, actions.columns), strict=True)]
    with (
        _fence(order) as fence,
        closing(Lease(order.lease)) as lease,
    ):
        outcomes = _carry_out(_Ordered(order, job, fence, lease, cancelled), rows)
    return {} if order.only_sweep else write_outcomes(order.outcome, actions, outcomes)


def _fence(order: Order) -> Fence | LeasedFence:
    if order.hold_s:
        return LeasedFence(order.progress, order.hold_s)
    return Fence(order.progress)


@dataclass(frozen=True, slots=True)
class _Ordered:
    """One order under way."""

    order: Order
    job: Job
    fence: Fence | LeasedFence
    lease: Lease
    told_to_stop: Callable[[], bool]

    def is_over(self) -> bool:
        """Tell whether nothing more may be done for it."""
        return self.told_to_stop() or self.lease.is_over() or self.fence.was_replaced()

    def check(self) -> None:
        """Raise CancelledError when nothing more may be done."""
        if self.is_over():
            raise CancelledError("stopped on request")


def _plain(column: pa.ChunkedArray) -> list[object]:
    values: list[object] = column.to_pylist()
    return values


def _carry_out(ordered: _Ordered, rows: list[Action]) -> list[Outcome]:
    """Do a shard, after what its attempts that died left behind is removed."""
    order, job = ordered.order, ordered.job
    if not job.target.is_bucket and order.dead_tokens:
        with closing(_open_root(job.target.url)) as descent:
            for token in order.dead_tokens:
                sweep(descent, rows, token)
    if order.only_sweep:
        return []
    with _attempt(ordered) as attempt:
        has_deletes = any(row.verb == Verb.DELETE for row in rows)
        if has_deletes and not job.allow_empty_source:
            check_source_has_entries(attempt)
        return list(_telling(_performed(attempt, job, rows), ordered.fence, attempt))


def _performed(attempt: Attempt, job: Job, rows: list[Action]) -> Iterator[Outcome]:
    buckets = _buckets(job)
    if not buckets:
        return perform(attempt, rows)
    return perform_many(attempt, rows, max(place.in_flight for place in buckets))


def _buckets(job: Job) -> list[Place]:
    return [place for place in (job.source, job.target) if place.is_bucket]


def _maker(ordered: _Ordered, source: Store) -> LustreMaker | None:
    """Return what makes directories if Lustre layouts are requested, or None."""
    order, job = ordered.order, ordered.job
    keeps = rules_of(job.stripe).keeps_directories
    like = source.descent if keeps and isinstance(source, Files) else None
    if not job.mdts and like is None:
        return None
    return LustreMaker(job.mdts, order.turns, like)


def _open_root(root: str, new_dir_mode: int = 0o700) -> Descent:
    try:
        return Descent(root, new_dir_mode)
    except OSError as err:
        raise FatalError(f"{root}: {err.strerror}; is it mounted here?") from err


@contextmanager
def _attempt(ordered: _Ordered) -> Iterator[Attempt]:
    job = ordered.job
    preserved = Preserved.named(job.preserve)
    kernel: Kernel | None = Kernel(ordered.check, job.hashing, preserved.sparse)
    if _buckets(job):  # they have rules of their own, and no kernel in common
        preserved, kernel = Preserved(), None
    with (
        closing(_open_end(job.source, ordered, preserved, kernel)) as source,
        closing(_open_end(job.target, ordered, preserved, kernel)) as target,
        ThreadPoolExecutor(_RANGE_THREADS, "range") as ranges,
    ):
        if isinstance(target, Files):
            target.descent.maker = _maker(ordered, source)
            target.descent.spelling = Spelling(target.descent, folds=job.folds)
        yield Attempt(
            source=source,
            target=target,
            kernel=kernel,
            hashing=job.hashing,
            verifies_content=job.verify_content,
            cancelled=ordered.is_over,
            room=Room(min((place.memory_bytes for place in _buckets(job)), default=0)),
            ranges=ranges,
        )


def _open_end(
    place: Place, ordered: _Ordered, preserved: Preserved, kernel: Kernel | None
) -> Store:
    order, job = ordered.order, ordered.job
    if place.is_bucket:
        kind = _kind_of(place, job)
        return kind(_bucket(place), place, order.ranges, _spellings(place))
    settings = Settings(
        temp=temp_name(order.token, ""),
        split=temp_name(job.temp_token, ""),
        fsync=job.fsync,
        ranges=order.ranges,
        check=ordered.check,
        preserved=preserved,
        trash=None if job.trash is None else trash_of(job.trash),
        rules=rules_of(job.stripe),
    )
    descent = _open_root(place.url, preserved.new_dir_mode)
    if kernel is None:
        return Files(descent, settings)
    return KernelFiles(descent, settings, kernel)


def _kind_of(place: Place, job: Job) -> type[Objects]:
    """Return the class of a bucket's prefix, which depends on the other endpoint."""
    if place is job.target:
        return Objects
    if job.target.is_bucket:
        return TaggedObjects
    return Objects if job.trust_metadata else DoubtedObjects


@lru_cache(maxsize=8)
def _bucket(place: Place) -> Bucket:
    """Open a bucket once for all shards; its connections stay open between them."""
    return open_bucket(place, os.environ, STOP)


@lru_cache(maxsize=8)
def _spellings(place: Place) -> Spellings:
    """Remember for all shards how a server spells unusual keys."""
    return Spellings(_bucket(place), place.prefix)


def _telling(
    outcomes: Iterator[Outcome], fence: Fence | LeasedFence, attempt: Attempt
) -> Iterator[Outcome]:
    """Pass outcomes on, and report the shard's progress."""
    for count, outcome in enumerate(outcomes, 1):
        fence.tell(count, attempt.moved)
        yield outcome


def main() -> int:
    """Serve orders until standard input ends or a signal stops the process."""
    orders: SimpleQueue[bytes] = SimpleQueue()

    def end() -> None:
        STOP.set()
        orders.put(b"")

    def stop(*_signal: object) -> None:
        # A second signal would find the lock of STOP taken, by this very thread.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        end()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the launcher decides, then tells us
    threading.Thread(target=_receive, args=(orders, end), daemon=True).start()
    while (line := orders.get()) and not STOP.is_set():
        answer = serve(Order.from_line(line), STOP.is_set)
        try:
            os.write(1, json.dumps(answer).encode() + b"\n")
        except BrokenPipeError:
            return 1  # whoever ordered this is gone
    return 0


def _receive(orders: "SimpleQueue[bytes]", end: Callable[[], None]) -> None:
    """Queue orders; the end of the input stops the current work as well.

    Standard input is read without Python's buffer, whose lock this thread would hold
    when the interpreter ends.
    """
    rest = b""
    while chunk := os.read(0, 1 << 16):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            orders.put(line)
    end()


def serve(order: Order, cancelled: Callable[[], bool]) -> dict[str, object]:
    """Carry out an order; return the answer for its driver."""
    try:
        return {"token": order.token, "tally": run_shard(order, cancelled)}
    except CancelledError as err:
        return {"token": order.token, "cancelled": str(err)}
    except FatalError as err:
        return {"token": order.token, "fatal": str(err)}


if __name__ == "__main__":
    sys.exit(main())
