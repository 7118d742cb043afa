"""Run a wave of shards: attempts, their answers, and retries of lost ones."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

from haulage.catalog.runs import attempts as attempt_records
from haulage.catalog.runs.attempts import Attempt
from haulage.catalog.runs.shards import Shard
from haulage.errors import FatalError, LostRunError
from haulage.exchange import progress_file
from haulage.exchange.shard_files import Order
from haulage.launch.launcher import Answer, Load
from haulage.model import Pass
from haulage.run.context.run_context import RunContext
from haulage.run.context.runner import TaskRunner
from haulage.run.sharding.outcomes import is_sealed, ready

_POLL_S = 0.5
_MOST_GIVEN_BACK = 10  # else a time limit that is too short would go on for ever


@dataclass(frozen=True, slots=True)
class Wave:
    """Shards that one task and one launcher job carry out."""

    name: str
    shards: tuple[Shard, ...]

    @property
    def load(self) -> Load:
        """Return the work in its shards."""
        return load_of(self.shards)


def load_of(shards: Iterable[Shard]) -> Load:
    """Return the work in some shards."""
    sizes = [(shard.entries, shard.bytes) for shard in shards]
    return Load(sum(one for one, _ in sizes), sum(size for _, size in sizes))


def run_wave(context: RunContext, wave: Wave) -> dict[str, int]:
    """Carry out every shard of the wave and return the sum of their tallies.

    A shard whose mover died is retried, `policy.attempts` times; then it fails, and the
    others continue. FatalError and CancelledError leave the rest for a resume.
    """
    if not wave.shards:
        return {}
    context.progress.begin_wave(
        wave.name,
        wave.shards[0].pass_,
        len(wave.shards),
        wave.load,
        partial(context.launcher.under_way, wave.name),
    )
    state = "failed"
    try:
        tally = _until_done(context, wave)
        state = "done"
    except LostRunError:
        context.launcher.leave(wave.name)
        raise
    except BaseException:
        context.launcher.cancel(wave.name)
        raise
    else:
        context.launcher.finish(wave.name)
    finally:
        context.progress.end_wave(wave.name, state)
    return tally


@dataclass(slots=True)
class _Count:
    """Totals of a wave so far; what became of movers by the shard they had."""

    tally: Counter[str] = field(default_factory=Counter)
    deaths: Counter[int] = field(default_factory=Counter)
    given_back: Counter[int] = field(default_factory=Counter)


def _until_done(context: RunContext, wave: Wave) -> dict[str, int]:
    count = _Count()
    todo: Sequence[Shard] = wave.shards
    while todo:
        open_ = {attempt.token: attempt for attempt in _started(context, wave, todo)}
        lost = []
        while open_:
            context.check()
            for answer in context.launcher.poll(wave.name, _POLL_S):
                attempt = open_.pop(answer.token)
                lost += _take(context, wave.name, attempt, answer, count)
        todo = _ready_again(context, lost)
    return dict(count.tally)


def _started(
    context: RunContext, wave: Wave, shards: Sequence[Shard]
) -> Sequence[Attempt]:
    """Start attempts at shards, or attach to those that an earlier driver started."""
    catalog, run, launcher = context.catalog, context.run, context.launcher
    ids = {shard.id for shard in shards}
    attempts = [one for one in context.left_running if one.shard.id in ids]
    context.left_running = [one for one in context.left_running if one not in attempts]
    attempts += attempt_records.start(catalog, run, shards, launcher.where)
    orders = [_order(context, attempt) for attempt in attempts]
    for order in orders:
        progress_file.begin(order.progress)
    load = load_of(attempt.shard for attempt in attempts)
    launcher.start_or_attach(wave.name, orders, load)
    return attempts


def _order(context: RunContext, attempt: Attempt) -> Order:
    shard = attempt.shard
    stem = f"{shard.pass_}-{shard.round}-{shard.seq:06}"
    return Order(
        shard=context.workspace / shard.file,
        outcome=context.workspace / "outcomes" / f"{stem}-{attempt.token}.parquet",
        progress=context.workspace / "progress" / f"{stem}-{attempt.token}",
        token=attempt.token,
        dead_tokens=attempt.dead_tokens,
    )


def _take(
    context: RunContext, wave: str, attempt: Attempt, answer: Answer, count: _Count
) -> list[Shard]:
    """Record one answer; return the shard if it must be retried."""
    shard = attempt.shard
    progress_file.revoke(_order(context, attempt).progress)  # it has no say any more
    if answer.tally is not None:
        context.progress.end_shard(wave, shard.entries, answer.tally)
        name = f"outcomes/{_order(context, attempt).outcome.name}"
        if attempt_records.finish(context.catalog, attempt, name, answer.tally):
            count.tally.update(answer.tally)
        return []
    reason = answer.fatal or answer.lost or "cancelled"
    # An attempt that was only queued when its driver died says nothing of the shard.
    count.deaths[shard.id] += answer.lost is not None
    give_up = count.deaths[shard.id] >= context.policy.attempts
    attempt_records.lose(context.catalog, attempt, reason, give_up=give_up)
    count.given_back[shard.id] += answer.given_back
    if count.given_back[shard.id] >= _MOST_GIVEN_BACK:
        raise FatalError(
            f"{shard.file} was given back {_MOST_GIVEN_BACK} times by slots that were "
            "ended before it was done: give slots more time, or make shards smaller "
            "(--shard-bytes, --shard-entries), then resume"
        )
    if answer.fatal:
        raise FatalError(answer.fatal)
    return [] if give_up else [shard]


def _ready_again(context: RunContext, lost: Sequence[Shard]) -> list[Shard]:
    if not lost:
        return []
    context.check()
    wanted = {shard.id for shard in lost}
    left = ready(context, lost[0].pass_, lost[0].round)
    return [shard for shard in left if shard.id in wanted]


def run_pass(
    context: RunContext, runner: TaskRunner, pass_: Pass, round_: int, name: str
) -> bool:
    """Run the ready shards of one pass and round; tell whether there were any."""
    if left := ready(context, pass_, round_):
        name = f"{name} (round {round_})" if round_ and "round" not in name else name
        runner.call(name, partial(run_wave, context, Wave(name, tuple(left))))
    return is_sealed(context, pass_, round_)
