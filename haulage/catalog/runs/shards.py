"""Shards: seal them, and look which there are."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    RowMapping,
    Select,
    case,
    false,
    func,
    insert,
    or_,
    select,
    update,
)

from haulage.catalog.db.engine import Catalog
from haulage.catalog.db.patience import patient
from haulage.catalog.db.tables import RawPath, ShardTable
from haulage.catalog.runs.run import Run, guarded, hold, must_hit
from haulage.catalog.runs.runs import release_shards
from haulage.model import Pass

_MAX_IN_STATEMENT = 500


class ShardState(StrEnum):
    """State of a shard."""

    READY = "ready"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    DROPPED = "dropped"


@dataclass(frozen=True)
class NewShard:
    """A shard that is about to be sealed; `first` and `last` are paths."""

    pass_: Pass
    round: int
    seq: int
    wave: int
    file: str
    entries: int
    bytes: int
    first: RawPath
    last: RawPath


@dataclass(frozen=True)
class Shard:
    """A sealed shard; `outcome` names the file with its mover's outcomes."""

    id: int
    run_id: str
    pass_: Pass
    round: int
    seq: int
    wave: int
    file: str
    entries: int
    bytes: int
    first: RawPath
    last: RawPath
    state: ShardState
    attempts: int
    outcome: str | None
    tally: Mapping[str, int]


@dataclass(frozen=True)
class Discovery:
    """The position of the listing from which these shards came."""

    listed_until: bytes
    counts: Mapping[str, int]
    finished: bool


@dataclass(frozen=True)
class Total:
    """The shards of one pass of a run in one state."""

    pass_: Pass
    state: ShardState
    shards: int
    entries: int
    bytes: int


@patient
def seal(
    catalog: Catalog,
    run: Run,
    shards: Sequence[NewShard],
    discovery: Discovery | None = None,
) -> list[Shard]:
    """Record new shards and, in the same transaction, the position of discovery."""
    with catalog.begin() as connection:
        if discovery is None:
            hold(connection, run)
        else:
            moved = guarded(run).values(
                listed_until=discovery.listed_until,
                counts=dict(discovery.counts),
                discovered=discovery.finished,
            )
            must_hit(connection, moved, run)
        if not shards:
            return []
        statement = insert(ShardTable).returning(
            ShardTable, sort_by_parameter_order=True
        )
        rows = connection.execute(statement, [_new(run, shard) for shard in shards])
        return [shard_of(row) for row in rows.mappings()]


def listed(
    catalog: Catalog,
    run_id: str,
    *,
    pass_: Pass | None = None,
    round_: int | None = None,
    states: Collection[ShardState] | None = None,
) -> list[Shard]:
    """Return the run's shards in the order of passes, rounds and paths."""
    wanted = _among(select(ShardTable), run_id, pass_, round_, states)
    return _in_order(catalog, wanted)


def counting(
    catalog: Catalog,
    run_id: str,
    passes: Collection[Pass],
    rounds: Collection[int],
    names: Collection[str],
) -> list[Shard]:
    """Return finished shards whose tally counts any of `names`, in that order, too."""
    wanted = _among(select(ShardTable), run_id, None, None, [ShardState.DONE]).where(
        ShardTable.pass_.in_(passes), ShardTable.round.in_(rounds)
    )
    counts = (ShardTable.tally[name].as_integer() > 0 for name in names)
    return _in_order(catalog, wanted.where(or_(false(), *counts)))


@patient
def are_there(
    catalog: Catalog,
    run_id: str,
    pass_: Pass,
    round_: int | None = None,
    states: Collection[ShardState] | None = None,
) -> bool:
    """Tell whether the run has any such shard."""
    wanted = _among(select(ShardTable.id), run_id, pass_, round_, states)
    with catalog.read() as connection:
        return connection.scalar(wanted.limit(1)) is not None


@patient
def undo(catalog: Catalog, run: Run, shards: Sequence[Shard]) -> None:
    """Record that shards must be repeated, because their outcomes are unknown."""
    with catalog.begin() as connection:
        hold(connection, run)
        for ids in batches([shard.id for shard in shards]):
            is_one = (ShardTable.run_id == run.id) & ShardTable.id.in_(ids)
            connection.execute(
                update(ShardTable)
                .where(is_one)
                .values(state=ShardState.READY, outcome=None, tally={})
            )


@patient
def drop_unfinished(catalog: Catalog, run: Run) -> int:
    """Drop the run's unfinished shards, because another run will do the work."""
    with catalog.begin() as connection:
        hold(connection, run)
        return release_shards(connection, run.id, to=ShardState.DROPPED)


@patient
def totals(catalog: Catalog, run_id: str) -> list[Total]:
    """Return the run's totals by pass and state, passes in their order."""
    sums = (func.sum(ShardTable.entries), func.sum(ShardTable.bytes))
    wanted = (
        select(ShardTable.pass_, ShardTable.state, func.count(), *sums)
        .where(ShardTable.run_id == run_id)
        .group_by(ShardTable.pass_, ShardTable.state)
    )
    with catalog.read() as connection:
        rows = connection.execute(wanted).all()
    found = [
        Total(Pass(pass_), ShardState(state), shards, int(entries), int(size))
        for pass_, state, shards, entries, size in rows
    ]
    order = [*Pass, *ShardState]
    return sorted(found, key=lambda t: (order.index(t.pass_), order.index(t.state)))


def _among(
    wanted: Select[Any],
    run_id: str,
    pass_: Pass | None,
    round_: int | None,
    states: Collection[ShardState] | None,
) -> Select[Any]:
    wanted = wanted.where(ShardTable.run_id == run_id)
    if pass_ is not None:
        wanted = wanted.where(ShardTable.pass_ == pass_)
    if round_ is not None:
        wanted = wanted.where(ShardTable.round == round_)
    if states is not None:
        wanted = wanted.where(ShardTable.state.in_(states))
    return wanted


@patient
def _in_order(catalog: Catalog, wanted: Select[Any]) -> list[Shard]:
    rank = case({one.value: i for i, one in enumerate(Pass)}, value=ShardTable.pass_)
    wanted = wanted.order_by(rank, ShardTable.round, ShardTable.seq)
    with catalog.read() as connection:
        return [shard_of(row) for row in connection.execute(wanted).mappings()]


def _new(run: Run, shard: NewShard) -> dict[str, object]:
    values = asdict(shard)
    values["pass"] = values.pop("pass_")
    return {**values, "run_id": run.id, "state": ShardState.READY}


def shard_of(row: RowMapping) -> Shard:
    """Return the shard of a row that has all its columns."""
    same = "id run_id round seq wave file entries bytes first last attempts outcome"
    return Shard(
        **{name: row[name] for name in same.split()},
        pass_=Pass(row["pass"]),
        state=ShardState(row["state"]),
        tally=row["tally"],
    )


def batches(ids: list[int]) -> list[list[int]]:
    """Return ids in lists that one statement takes."""
    starts = range(0, len(ids), _MAX_IN_STATEMENT)
    return [ids[at : at + _MAX_IN_STATEMENT] for at in starts]
