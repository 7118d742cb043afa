"""After a round of copying: publish split files, verify, and retry."""

from collections.abc import Iterator

import pyarrow as pa

from haulage.config.policy import Verify
from haulage.model import OUTCOME, Pass, Status
from haulage.planning.actions import redo
from haulage.planning.pack import pack
from haulage.run.context.run_context import RunContext
from haulage.run.context.runner import TaskRunner
from haulage.run.pass_order import (
    COPIES,
    MAKES,
    MAKES_AND_PROVES,
    UNBLOCKED,
)
from haulage.run.passes.publish import publishable
from haulage.run.passes.verify import provable
from haulage.run.sharding.outcomes import (
    is_sealed,
    once,
    rows_with,
    worth_another_try,
)
from haulage.run.sharding.seal import seal
from haulage.run.sharding.waves import run_pass


def settle(context: RunContext, runner: TaskRunner) -> None:
    """Publish and verify what was copied, and retry what may succeed now."""
    for round_ in COPIES.rounds_of(context.policy.attempts):
        if round_ and not _copy_again(context, runner, round_):
            return
        _prove_round(context, runner, round_)


def settle_blocked(context: RunContext, runner: TaskRunner) -> None:
    """Copy entries blocked by a directory that the delete pass may have removed."""
    earlier = COPIES.rounds_of(context.policy.attempts)
    for round_ in UNBLOCKED.rounds_of(context.policy.attempts):
        if not is_sealed(context, Pass.COPY, round_):
            rows = rows_with(context, MAKES, earlier, [Status.BLOCKED])
            _seal_again(context, round_, once(context, "again", OUTCOME, rows))
        _run_again(context, runner, round_)
        _prove_round(context, runner, round_)


def _copy_again(context: RunContext, runner: TaskRunner, round_: int) -> bool:
    """Copy again the unstable, mismatched or transient failures of the last round."""
    if not is_sealed(context, Pass.COPY, round_):
        rows = worth_another_try(context, MAKES_AND_PROVES, round_ - 1)
        again = once(context, "again", OUTCOME, rows)
        if again is not None:
            context.pause(round_)
        _seal_again(context, round_, again)
    return _run_again(context, runner, round_)


def _seal_again(
    context: RunContext, round_: int, rows: Iterator[pa.Table] | None
) -> None:
    """Seal the rows to copy again as a round of their own."""
    shards = (
        shard for some in rows or () for shard in pack(redo(some), context.bounds)
    )
    seal(context, Pass.COPY, round_, shards)


def _run_again(context: RunContext, runner: TaskRunner, round_: int) -> bool:
    context.progress.stage = "retry"
    return run_pass(context, runner, Pass.COPY, round_, f"copy again, round {round_}")


def _prove_round(context: RunContext, runner: TaskRunner, round_: int) -> None:
    context.progress.stage = "publish"
    if not is_sealed(context, Pass.PUBLISH, round_):
        seal(context, Pass.PUBLISH, round_, publishable(context, round_))
    run_pass(context, runner, Pass.PUBLISH, round_, "publish split files")
    context.progress.stage = "verify"
    if context.policy.verify is not Verify.NONE and not is_sealed(
        context, Pass.VERIFY, round_
    ):
        seal(context, Pass.VERIFY, round_, provable(context, round_))
    run_pass(context, runner, Pass.VERIFY, round_, "verify")
