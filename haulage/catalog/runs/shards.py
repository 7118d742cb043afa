"""Shards and attempts: seal, start, finish, lose."""

import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    Connection,
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

from haulage.catalog.db.column_types import DatabaseNow
from haulage.catalog.db.engine import Catalog
from haulage.catalog.db.patience import patient
from haulage.catalog.db.tables import AttemptTable, RawPath, ShardTable
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
class Attempt:
    """One attempt at a shard; `dead_tokens` are those of lost attempts."""

    id: int
    shard: Shard
    number: int
    token: str
    dead_tokens: tuple[str, ...]


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
        return [_of(row) for row in rows.mappings()]


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
def start(
    catalog: Catalog, run: Run, shards: Sequence[Shard], where: str
) -> list[Attempt]:
    """Start an attempt at each of the shards that is still ready."""
    attempts: list[Attempt] = []
    with catalog.begin() as connection:
        hold(connection, run)
        for ids in _batches([shard.id for shard in shards]):
            attempts += _start(connection, run, ids, where)
    return attempts


def finish(
    catalog: Catalog, attempt: Attempt, outcome: str, tally: Mapping[str, int]
) -> bool:
    """Record the shard as done; False if the attempt is no longer the current one."""
    done = {"state": ShardState.DONE, "outcome": outcome, "tally": dict(tally)}
    return _close(catalog, attempt, done, state="done", error=None)


def lose(catalog: Catalog, attempt: Attempt, error: str, *, give_up: bool) -> bool:
    """Record the attempt as lost and the shard as ready, or failed with `give_up`.

    False if the attempt is no longer the current one.
    """
    state = ShardState.FAILED if give_up else ShardState.READY
    return _close(catalog, attempt, {"state": state}, state="lost", error=error)


@patient
def undo(catalog: Catalog, run: Run, shards: Sequence[Shard]) -> None:
    """Record that shards must be repeated, because their outcomes are unknown."""
    with catalog.begin() as connection:
        hold(connection, run)
        for ids in _batches([shard.id for shard in shards]):
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
def lost_tokens(catalog: Catalog, run_id: str) -> list[tuple[Shard, str]]:
    """Return every lost attempt's shard and token, whose temporaries may remain."""
    wanted = (
        select(ShardTable, AttemptTable.token.label("dead_token"))
        .join(AttemptTable, AttemptTable.shard_id == ShardTable.id)
        .where(ShardTable.run_id == run_id, AttemptTable.state == "lost")
        .order_by(AttemptTable.id)
    )
    with catalog.read() as connection:
        rows = connection.execute(wanted).mappings()
        return [(_of(row), row["dead_token"]) for row in rows]


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
        return [_of(row) for row in connection.execute(wanted).mappings()]


def _new(run: Run, shard: NewShard) -> dict[str, object]:
    values = asdict(shard)
    values["pass"] = values.pop("pass_")
    return {**values, "run_id": run.id, "state": ShardState.READY}


def _of(row: RowMapping) -> Shard:
    same = "id run_id round seq wave file entries bytes first last attempts outcome"
    return Shard(
        **{name: row[name] for name in same.split()},
        pass_=Pass(row["pass"]),
        state=ShardState(row["state"]),
        tally=row["tally"],
    )


def _batches(ids: list[int]) -> list[list[int]]:
    starts = range(0, len(ids), _MAX_IN_STATEMENT)
    return [ids[at : at + _MAX_IN_STATEMENT] for at in starts]


def _start(
    connection: Connection, run: Run, ids: list[int], where: str
) -> list[Attempt]:
    tokens = {shard_id: secrets.token_hex(6) for shard_id in ids}
    statement = (
        update(ShardTable)
        .where(
            ShardTable.id.in_(ids),
            ShardTable.run_id == run.id,
            ShardTable.state == ShardState.READY,
        )
        .values(
            state=ShardState.RUNNING,
            attempts=ShardTable.attempts + 1,
            token=case(tokens, value=ShardTable.id),
        )
        .returning(ShardTable)
    )
    started = [_of(row) for row in connection.execute(statement).mappings()]
    started.sort(key=lambda shard: ids.index(shard.id))
    dead = _dead_tokens(connection, ids)
    numbers = _record(connection, started, tokens, where)
    return [
        Attempt(attempt_id, shard, shard.attempts, tokens[shard.id], dead[shard.id])
        for attempt_id, shard in zip(numbers, started, strict=True)
    ]


def _dead_tokens(connection: Connection, ids: list[int]) -> dict[int, tuple[str, ...]]:
    wanted = (
        select(AttemptTable.shard_id, AttemptTable.token)
        .where(AttemptTable.shard_id.in_(ids), AttemptTable.state == "lost")
        .order_by(AttemptTable.id)
    )
    dead: dict[int, tuple[str, ...]] = dict.fromkeys(ids, ())
    for shard_id, token in connection.execute(wanted):
        dead[shard_id] += (token,)
    return dead


def _record(
    connection: Connection, shards: list[Shard], tokens: dict[int, str], where: str
) -> list[int]:
    if not shards:
        return []
    rows = [
        {
            "shard_id": shard.id,
            "number": shard.attempts,
            "token": tokens[shard.id],
            "state": "running",
            "place": where,
        }
        for shard in shards
    ]
    statement = insert(AttemptTable).returning(
        AttemptTable.id, sort_by_parameter_order=True
    )
    return list(connection.scalars(statement, rows))


@patient
def _close(
    catalog: Catalog,
    attempt: Attempt,
    shard: Mapping[str, object],
    *,
    state: str,
    error: str | None,
) -> bool:
    guarded_by_token = (
        update(ShardTable)
        .where(ShardTable.id == attempt.shard.id, ShardTable.token == attempt.token)
        .values(token=None, **shard)
    )
    own = update(AttemptTable).where(AttemptTable.id == attempt.id)
    with catalog.begin() as connection:
        if connection.execute(guarded_by_token).rowcount == 0:
            return False
        connection.execute(own.values(state=state, error=error, ended_at=DatabaseNow()))
        return True
