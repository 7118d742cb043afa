"""Cleans up behind what will not be finished, and brings home what was."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from haulage.catalog import events, runs
from haulage.catalog import shards as ledger
from haulage.catalog.runs import RunState
from haulage.catalog.shards import ShardState
from haulage.errors import BrokenPageError, FatalError
from haulage.model import Kind, Pass, Status, Verb
from haulage.ops.plan import on_paths
from haulage.ops.progress import Progress
from haulage.shardfile import Order, is_readable, read_outcomes, write_shard
from haulage.stages.commit import commit
from haulage.stages.finishing import to_finish
from haulage.stages.report import summary_of
from haulage.stages.rounds import done, outcomes_of
from haulage.stages.sealing import is_part
from haulage.stages.site import Site
from haulage.stages.strays import sweep_strays
from haulage.storage.ranges import begun

_POLL_S = 0.5
_JOB = "salvage"


def supersede(site: Site) -> None:
    """End an interrupted run: sweep behind it and commit the outcomes that it has."""
    sweep(site)
    summary = _brought_home(site, _give_times_back(site))
    ledger.drop_unfinished(site.catalog, site.run)
    events.note(
        site.catalog, site.run.id, "superseded", {"copied": summary.get("copied", 0)}
    )
    runs.end(site.catalog, site.run, RunState.SUPERSEDED, summary)
    shutil.rmtree(site.workspace, ignore_errors=True)


def _brought_home(site: Site, salvaged: Sequence[Path]) -> dict[str, object]:
    """Commit the outcomes, and return what they add up to.

    Nothing can be laid over a manifest that is broken: a run that compares with the
    target finds there what this one has made.
    """
    try:
        return summary_of(site, commit(site, map(_by_path, salvaged))).as_dict()
    except BrokenPageError as err:
        return {"state": RunState.SUPERSEDED, "notes": [str(err)]}


def _give_times_back(site: Site) -> list[Path]:
    """Finish directories that the run changed: no later run may look at them.

    That is no pass of the run, which may be resumed after all, and change more of them.
    Return what became of them, the files of the first paths first.
    """
    outcomes: list[Path] = []
    for seq, actions in enumerate(to_finish(site)):
        name = f"shards/salvage-{seq:06}.parquet"
        write_shard(site.workspace / name, actions, site.job)
        order = _order(site, name, f"salvage-{seq}")
        _carry_out(site, [order])
        outcomes.append(order.outcome)
    return outcomes[::-1]


def _by_path(outcomes: Path) -> pa.Table:
    return read_outcomes(outcomes).sort_by("path")


def sweep(site: Site) -> None:
    """Remove every temporary that no later attempt will remove."""
    lost = [
        (shard, token)
        for shard, token in ledger.lost_tokens(site.catalog, site.run.id)
        if shard.state is not ShardState.DONE
    ]
    strays = [one for one in lost if not is_readable(site.workspace / one[0].file)]
    if strays:
        sweep_strays(site, strays)
    astray = {token for _, token in strays}
    orders = [  # with tokens of their own: movers had an order with the dead one
        _order(
            site, shard.file, f"sweep-{token}", dead_tokens=(token,), only_sweep=True
        )
        for shard, token in lost
        if token not in astray
    ]
    if paths := _unpublished(site):
        name = "shards/sweep.parquet"
        actions = on_paths(pa.array(paths, pa.binary()), Verb.SWEEP, Kind.FILE)
        write_shard(site.workspace / name, actions, site.job)
        orders.append(_order(site, name, "sweep"))
    _carry_out(site, orders)


def _order(
    site: Site,
    file: str,
    token: str,
    dead_tokens: tuple[str, ...] = (),
    *,
    only_sweep: bool = False,
) -> Order:
    return Order(
        shard=site.workspace / file,
        outcome=site.workspace / "outcomes" / f"{token}.parquet",
        progress=site.workspace / "progress" / token,
        token=token,
        dead_tokens=dead_tokens,
        only_sweep=only_sweep,
    )


def _unpublished(site: Site) -> list[bytes]:
    """Return the large files that were begun in ranges, but never published."""
    split = {
        shard.first
        for shard in ledger.listed(site.catalog, site.run.id, pass_=Pass.COPY)
        if is_part(shard)
    }
    for shard in done(site, Pass.PUBLISH) if split else []:
        outcomes = outcomes_of(site, shard).select(["path", "status"]).to_pylist()
        split -= {row["path"] for row in outcomes if row["status"] == Status.COPIED}
    noted = {path for path, _, _ in begun(site.workspace / "ranges")}
    return sorted(split | noted)


def _carry_out(site: Site, orders: Sequence[Order]) -> None:
    if not orders:
        return
    for order in orders:
        Progress.begin(order.progress)
    site.launcher.start_or_attach(_JOB, orders)
    open_tokens = {order.token for order in orders}
    while open_tokens:
        site.check()
        for answer in site.launcher.poll(_JOB, _POLL_S):
            open_tokens.discard(answer.token)
            if answer.tally is None:
                raise FatalError(
                    f"the run before could not be ended: {answer.fatal or answer.lost}"
                )
