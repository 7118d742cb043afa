"""Has a wave of shards done: attempts, their answers, and another try for lost ones."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from haulage.catalog import shards as ledger
from haulage.catalog.shards import Attempt, Shard, ShardState
from haulage.errors import FatalError
from haulage.launch.base import Answer
from haulage.ops.progress import Progress
from haulage.shardfile import Order
from haulage.stages.site import Site

_POLL_S = 0.5


@dataclass(frozen=True, slots=True)
class Wave:
    """Shards that one task and one launcher job carry out."""

    name: str
    shards: tuple[Shard, ...]

    @property
    def entries(self) -> int:
        """Return how many entries its shards have."""
        return sum(shard.entries for shard in self.shards)


def run_wave(site: Site, wave: Wave) -> dict[str, int]:
    """Have every shard of the wave done and return the sum of their tallies.

    A shard whose mover died is tried again, `policy.attempts` times; then it is failed
    and the others go on. FatalError and CancelledError leave the rest for a resume.
    """
    if not wave.shards:
        return {}
    site.meter.begin_wave(
        wave.name,
        wave.shards[0].pass_,
        shards=len(wave.shards),
        entries=wave.entries,
        size=sum(shard.bytes for shard in wave.shards),
    )
    state = "failed"
    try:
        tally = _until_done(site, wave)
        state = "done"
    finally:
        site.launcher.cancel(wave.name)
        site.meter.end_wave(wave.name, state)
    return tally


@dataclass(slots=True)
class _Count:
    """What a wave adds up to so far; deaths of movers by the shard they were at."""

    tally: Counter[str] = field(default_factory=Counter)
    deaths: Counter[int] = field(default_factory=Counter)


def _until_done(site: Site, wave: Wave) -> dict[str, int]:
    count = _Count()
    todo: Sequence[Shard] = wave.shards
    while todo:
        attempts = ledger.start(site.catalog, site.run, todo, site.launcher.where)
        by_token = {attempt.token: attempt for attempt in attempts}
        for attempt in attempts:
            progress = _order(site, attempt).progress
            Progress.begin(progress)
            site.meter.begin_shard(wave.name, attempt.token, progress)
        site.launcher.start_or_attach(
            wave.name, [_order(site, attempt) for attempt in attempts]
        )
        lost = []
        while by_token:
            site.check()
            for answer in site.launcher.poll(wave.name, _POLL_S):
                attempt = by_token.pop(answer.token)
                lost += _take(site, wave.name, attempt, answer, count)
        todo = _ready_again(site, lost)
    return dict(count.tally)


def _order(site: Site, attempt: Attempt) -> Order:
    shard = attempt.shard
    stem = f"{shard.pass_}-{shard.round}-{shard.seq:06}"
    return Order(
        shard=site.workspace / shard.file,
        outcome=site.workspace / "outcomes" / f"{stem}-{attempt.token}.parquet",
        progress=site.workspace / "progress" / f"{stem}-{attempt.token}",
        token=attempt.token,
        dead_tokens=attempt.dead_tokens,
    )


def _take(
    site: Site, wave: str, attempt: Attempt, answer: Answer, count: _Count
) -> list[Shard]:
    """Record one answer; return the shard if it has to be tried again."""
    shard = attempt.shard
    _order(site, attempt).progress.unlink(missing_ok=True)  # it has no say any more
    site.meter.end_shard(wave, attempt.token, shard.entries, answer.tally)
    if answer.tally is not None:
        name = f"outcomes/{_order(site, attempt).outcome.name}"
        if ledger.finish(site.catalog, attempt, name, answer.tally):
            count.tally.update(answer.tally)
        return []
    reason = answer.fatal or answer.lost or "cancelled"
    # An attempt that was only queued when its driver died says nothing of the shard.
    count.deaths[shard.id] += answer.lost is not None
    give_up = count.deaths[shard.id] >= site.policy.attempts
    ledger.lose(site.catalog, attempt, reason, give_up=give_up)
    if answer.fatal:
        raise FatalError(answer.fatal)
    return [] if give_up else [shard]


def _ready_again(site: Site, lost: Sequence[Shard]) -> list[Shard]:
    if not lost:
        return []
    site.check()
    wanted = {shard.id for shard in lost}
    first = lost[0]
    ready = ledger.listed(
        site.catalog,
        site.run.id,
        pass_=first.pass_,
        round_=first.round,
        states=[ShardState.READY],
    )
    return [shard for shard in ready if shard.id in wanted]
