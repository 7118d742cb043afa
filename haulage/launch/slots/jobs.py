"""The jobs of one wave: how many slots live, and how many more are wanted."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from haulage.boottime import now_s
from haulage.exchange.wave_files import SlotRecord, WaveFiles
from haulage.launch.engine import SlotLife, SlotView

_ALIVE = (SlotLife.WAITING, SlotLife.RUNNING, SlotLife.HELD)


@dataclass(slots=True)
class Job:
    """A job that was submitted, or of which that is not known."""

    slots: int
    since_s: float
    is_sure: bool = True
    was_seen: bool = False
    is_gone: bool = False


@dataclass(slots=True)
class Jobs:
    """The jobs of a wave by name, as far as they are known."""

    files: WaveFiles
    prefix: str
    unseen_s: float  # for so long a new job may be missing in the engine's answers
    by_name: dict[str, Job] = field(default_factory=dict)

    def remember(self) -> None:
        """Find the jobs that an earlier driver noted before it submitted them."""
        for name, slots in self.files.jobs().items():
            self.by_name.setdefault(name, Job(slots, now_s(), is_sure=False))

    def begin(self, slots: int) -> str:
        """Note a new job, before it is submitted; return its name."""
        name = f"{self.prefix}-{len(self.by_name)}"
        self.files.note_job(name, slots)
        self.by_name[name] = Job(slots, now_s(), is_sure=False)
        return name

    def not_begun(self, records: Mapping[str, SlotRecord]) -> list[str]:
        """Return the jobs some of whose slots have not told anything yet."""
        begun = Counter(record.job for record in records.values())
        return [
            name
            for name, job in self.by_name.items()
            if not job.is_gone and begun[name] < job.slots
        ]

    def is_unsure(self) -> bool:
        """Tell whether a job may exist, or not."""
        return any(not job.is_sure and not job.is_gone for job in self.by_name.values())

    def see(self, views: Iterable[SlotView]) -> None:
        """Compare with an answer of the engine."""
        seen = {view.job for view in views}
        for name, job in self.by_name.items():
            if name in seen:
                job.is_sure = job.was_seen = True
            elif job.was_seen or now_s() - job.since_s > self.unseen_s:
                job.is_gone = job.is_sure = True

    def alive(
        self, views: Collection[SlotView], records: Mapping[str, SlotRecord]
    ) -> int:
        """Return how many slots live or wait, as far as is known."""
        count = 0
        for name, job in self.by_name.items():
            its = [view for view in views if view.job == name]
            if its:
                count += sum(_is_alive(view, records) for view in its)
            elif not job.is_gone:
                count += job.slots - _ended(name, records)
        return max(0, count)


def _is_alive(view: SlotView, records: Mapping[str, SlotRecord]) -> bool:
    record = records.get(f"{view.slot}.{view.start}")
    return view.life in _ALIVE and not (record and record.ended is not None)


def _ended(job: str, records: Mapping[str, SlotRecord]) -> int:
    """Return how many slots of a job have told that they ended."""
    return sum(one.ended is not None and one.job == job for one in records.values())
