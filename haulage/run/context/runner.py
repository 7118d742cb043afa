"""The task runner protocol, and the progress and summary types it reports."""

import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Protocol, TypeVar

from haulage.launch.launcher import NodeWork

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
_WAVES_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class WaveProgress:
    """Progress of one wave of shards."""

    name: str
    pass_: str
    shards: int
    shards_done: int
    entries: int
    bytes: int
    done: int  # entries
    done_bytes: int
    state: str  # running | done | failed
    seconds: float


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of a run, reported about once a second."""

    stage: str
    listed: int
    planned: int
    planned_bytes: int
    done: int
    done_bytes: int
    failed: int
    finished_listing: bool
    waves: tuple[WaveProgress, ...]
    nodes: tuple[NodeWork, ...] = ()  # other machines that work for the run


@dataclass(frozen=True, slots=True)
class Summary:
    """Result of an ended run, for a person. Counts are entries."""

    run_id: str
    dataset: str
    state: str
    exit_code: int
    listed: int
    unchanged: int
    copied: int
    copied_bytes: int
    updated: int
    made: int
    verified: int
    deleted: int
    kept: int
    failed: int
    seconds: float
    first_byte_s: float | None
    notes: tuple[str, ...]
    lost: int = 0  # made, but without something that their source has
    fidelity: float = 1.0  # share of the manifest that the run found without a loss
    waiting_plan: int | None = None  # deletes that wait for approval
    restored: int = 0
    unlisted: int = 0  # failures that are counted, and were too many for a list
    checked: int = 0  # files that were read only to tell whether they had changed
    checked_bytes: int = 0

    def as_dict(self) -> dict[str, object]:
        """Return the summary as a JSON object."""
        return {**asdict(self), "notes": list(self.notes)}


class Pending(Protocol[T_co]):
    """Work that was started and will have a result."""

    def result(self) -> T_co:
        """Wait for the end; return the work's result or raise its exception."""
        ...


class TaskRunner(Protocol):
    """Runs the sequence's work: in threads for the command line, as tasks for flows."""

    def start(self, name: str, work: Callable[[], T]) -> Pending[T]:
        """Run `work` concurrently with everything else that was started."""
        ...

    def call(self, name: str, work: Callable[[], T]) -> T:
        """Run `work` now and return its result."""
        ...

    def note(self, progress: Progress) -> None:
        """Report the progress; called about once a second, always from one thread."""
        ...


class ThreadRunner:
    """A task runner of plain threads; `on_progress` is called with each report."""

    def __init__(
        self, on_progress: Callable[[Progress], None] = lambda _: None
    ) -> None:
        """Prepare the threads; they start with the first work."""
        self._pool = ThreadPoolExecutor(_WAVES_AT_ONCE, "wave")
        self._on_progress = on_progress

    def start(self, name: str, work: Callable[[], T]) -> Pending[T]:
        """See TaskRunner."""
        return self._pool.submit(contextvars.copy_context().run, work)

    def call(self, name: str, work: Callable[[], T]) -> T:
        """See TaskRunner."""
        return work()

    def note(self, progress: Progress) -> None:
        """See TaskRunner."""
        self._on_progress(progress)
