"""Live counters of a run, for whoever displays them."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from haulage.launch.launcher import Load
from haulage.run.context.runner import Progress, WaveProgress

_MAKES = ("copy", "publish", "links")
_FAILED = ("failed", "unstable", "mismatch", "blocked")


@dataclass(slots=True)
class _Wave:
    name: str
    pass_: str
    shards: int
    entries: int
    bytes: int
    began: float
    under_way: Callable[[], Load]
    done: int = 0
    done_bytes: int = 0
    shards_done: int = 0
    state: str = "running"
    seconds: float = 0.0


class RunProgress:
    """The live counters of one run; every method may be called from any thread."""

    def __init__(self, counts: dict[str, int]) -> None:
        """Start from the counts that the catalog has of an earlier part of the run."""
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._waves: dict[str, _Wave] = {}
        self._failed = 0
        self.counts = Counter(counts)
        self.stage = "discover"
        self.finished_listing = False
        self.first_byte_s: float | None = None

    def begin_wave(
        self,
        name: str,
        pass_: str,
        shards: int,
        load: Load,
        under_way: Callable[[], Load],
    ) -> None:
        """Open a wave's record; `under_way` tells what it has done but not finished."""
        with self._lock:
            self._waves[name] = _Wave(
                name,
                pass_,
                shards,
                load.entries,
                load.bytes,
                time.monotonic(),
                under_way,
            )

    def end_shard(self, wave: str, entries: int, tally: dict[str, int]) -> None:
        """Count a finished shard."""
        with self._lock:
            record = self._waves[wave]
            record.shards_done += 1
            record.done += entries
            record.done_bytes += tally.get("bytes", 0)
            self._failed += sum(tally.get(name, 0) for name in _FAILED)
            self._note_first_byte()

    def end_wave(self, wave: str, state: str) -> None:
        """Close a wave's record."""
        with self._lock:
            record = self._waves[wave]
            record.state = state
            record.seconds = time.monotonic() - record.began

    def seconds(self) -> float:
        """Return for how many seconds this process has driven the run."""
        return time.monotonic() - self._began

    def now(self) -> Progress:
        """Return the present counters."""
        with self._lock:
            waves = tuple(self._now(record) for record in self._waves.values())
            copying = [wave for wave in waves if wave.pass_ in _MAKES]
            return Progress(
                stage=self.stage,
                listed=self.counts["listed"],
                planned=self.counts["planned"],
                planned_bytes=self.counts["planned_bytes"],
                done=sum(wave.done for wave in copying),
                done_bytes=sum(wave.done_bytes for wave in copying),
                failed=self._failed,
                finished_listing=self.finished_listing,
                waves=waves,
            )

    def _now(self, record: _Wave) -> WaveProgress:
        running = record.state == "running"
        now = record.under_way() if running else Load(0, 0)
        if now.bytes:
            self._note_first_byte()
        return WaveProgress(
            name=record.name,
            pass_=record.pass_,
            shards=record.shards,
            shards_done=record.shards_done,
            entries=record.entries,
            bytes=record.bytes,
            done=record.done + now.entries,
            done_bytes=record.done_bytes + now.bytes,
            state=record.state,
            seconds=time.monotonic() - record.began if running else record.seconds,
        )

    def _note_first_byte(self) -> None:
        if self.first_byte_s is None:
            self.first_byte_s = round(self.seconds(), 3)
