"""Clean up after an interrupted run, and commit what it has done."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from haulage.catalog import events
from haulage.catalog.runs import attempts as attempt_records
from haulage.catalog.runs import runs
from haulage.catalog.runs import shards as ledger
from haulage.catalog.runs.runs import RunState
from haulage.catalog.runs.shards import ShardState
from haulage.errors import BrokenPageError, FatalError
from haulage.exchange import progress_file
from haulage.exchange.shard_files import Order, is_readable, read_outcomes, write_shard
from haulage.launch.launcher import NOTHING
from haulage.model import Kind, Pass, Status, Verb
from haulage.planning.actions import on_paths
from haulage.run.context.run_context import RunContext
from haulage.run.manifest.commit import commit
from haulage.run.passes.dirs import to_finish
from haulage.run.recovery.temporaries import sweep_strays
from haulage.run.sharding.outcomes import done, outcomes_of
from haulage.run.sharding.seal import is_part
from haulage.run.summary import summary_of
from haulage.storage.resumable import begun
from haulage.storage.tree.filesystem.spelling import Probe

_POLL_S = 0.5
_JOB = "supersede"


def supersede(context: RunContext) -> None:
    """End an interrupted run: remove its temporaries and commit its outcomes."""
    sweep(context)
    summary = _brought_home(context, _give_times_back(context))
    ledger.drop_unfinished(context.catalog, context.run)
    events.note(
        context.catalog,
        context.run.id,
        "superseded",
        {"copied": summary.get("copied", 0)},
    )
    runs.end(context.catalog, context.run, RunState.SUPERSEDED, summary)
    shutil.rmtree(context.workspace, ignore_errors=True)


def _brought_home(context: RunContext, recovered: Sequence[Path]) -> dict[str, object]:
    """Commit the outcomes, and return their totals.

    Nothing can be laid over a damaged manifest: the next run, which compares with the
    target, finds there what this one has made.
    """
    try:
        return summary_of(context, commit(context, map(_by_path, recovered))).as_dict()
    except BrokenPageError as err:
        return {"state": RunState.SUPERSEDED, "notes": [str(err)]}


def _give_times_back(context: RunContext) -> list[Path]:
    """Finish directories that the run changed: no later run may visit them.

    This is not a pass of the run, which may still be resumed and change more of them.
    Return the outcome files, those of the first paths first.
    """
    outcomes: list[Path] = []
    for seq, actions in enumerate(to_finish(context)):
        name = f"shards/supersede-{seq:06}.parquet"
        write_shard(context.workspace / name, actions, context.job)
        order = _order(context, name, f"supersede-{seq}")
        _carry_out(context, [order])
        outcomes.append(order.outcome)
    return outcomes[::-1]


def _by_path(outcomes: Path) -> pa.Table:
    return read_outcomes(outcomes).sort_by("path")


def sweep(context: RunContext) -> None:
    """Remove every temporary that no later attempt will remove."""
    if not context.pair.target.is_bucket:
        Probe(context.pair.target.url, context.run.temp_token).clear()
    lost = [
        (shard, token)
        for shard, token in attempt_records.lost_tokens(context.catalog, context.run.id)
        if shard.state is not ShardState.DONE
    ]
    strays = [one for one in lost if not is_readable(context.workspace / one[0].file)]
    if strays:
        sweep_strays(context, strays)
    astray = {token for _, token in strays}
    orders = [  # with tokens of their own: movers had an order with the dead one
        _order(
            context, shard.file, f"sweep-{token}", dead_tokens=(token,), only_sweep=True
        )
        for shard, token in lost
        if token not in astray
    ]
    if paths := _unpublished(context):
        name = "shards/sweep.parquet"
        actions = on_paths(pa.array(paths, pa.binary()), Verb.SWEEP, Kind.FILE)
        write_shard(context.workspace / name, actions, context.job)
        orders.append(_order(context, name, "sweep"))
    _carry_out(context, orders)


def _order(
    context: RunContext,
    file: str,
    token: str,
    dead_tokens: tuple[str, ...] = (),
    *,
    only_sweep: bool = False,
) -> Order:
    return Order(
        shard=context.workspace / file,
        outcome=context.workspace / "outcomes" / f"{token}.parquet",
        progress=context.workspace / "progress" / token,
        token=token,
        dead_tokens=dead_tokens,
        only_sweep=only_sweep,
    )


def _unpublished(context: RunContext) -> list[bytes]:
    """Return the large files that were started in ranges, but not published after.

    The record of a published one stays: a power cut may take its name again.
    """
    began = {
        shard.first: shard.round
        for shard in ledger.listed(context.catalog, context.run.id, pass_=Pass.COPY)
        if is_part(shard)
    }
    noted = {path for path, _, _ in begun(context.workspace / "ranges")}
    left = began.keys() | noted
    for shard in done(context, Pass.PUBLISH) if left else []:
        outcomes = outcomes_of(context, shard, ["path", "status"]).to_pylist()
        left -= {
            row["path"]
            for row in outcomes
            if row["status"] == Status.COPIED
            and shard.round >= began.get(row["path"], 0)
        }
    return sorted(left)


def _carry_out(context: RunContext, orders: Sequence[Order]) -> None:
    if not orders:
        return
    for order in orders:
        progress_file.begin(order.progress)
    context.launcher.start_or_attach(_JOB, orders, NOTHING)
    open_tokens = {order.token for order in orders}
    while open_tokens:
        context.check()
        for answer in context.launcher.poll(_JOB, _POLL_S):
            open_tokens.discard(answer.token)
            if answer.tally is None:
                raise FatalError(
                    "the previous run could not be ended: "
                    f"{answer.fatal or answer.lost}"
                )
