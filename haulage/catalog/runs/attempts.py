"""Attempts at shards: start, finish, lose."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, case, insert, select, update

from haulage.catalog.db.column_types import DatabaseNow
from haulage.catalog.db.engine import Catalog
from haulage.catalog.db.patience import patient
from haulage.catalog.db.tables import AttemptTable, ShardTable
from haulage.catalog.runs.run import Run, hold
from haulage.catalog.runs.shards import Shard, ShardState, batches, shard_of


@dataclass(frozen=True)
class Attempt:
    """One attempt at a shard; `dead_tokens` are those of lost attempts."""

    id: int
    shard: Shard
    number: int
    token: str
    dead_tokens: tuple[str, ...]


@patient
def start(
    catalog: Catalog, run: Run, shards: Sequence[Shard], where: str
) -> list[Attempt]:
    """Start an attempt at each of the shards that is still ready."""
    attempts: list[Attempt] = []
    with catalog.begin() as connection:
        hold(connection, run)
        for ids in batches([shard.id for shard in shards]):
            attempts += _start(connection, run, ids, where)
    return attempts


@patient
def running(catalog: Catalog, run: Run) -> list[Attempt]:
    """Return the attempts that an earlier driver of the run left running."""
    wanted = (
        select(ShardTable, AttemptTable.id.label("attempt"), AttemptTable.number)
        .join(AttemptTable, AttemptTable.shard_id == ShardTable.id)
        .where(
            ShardTable.run_id == run.id,
            ShardTable.state == ShardState.RUNNING,
            AttemptTable.token == ShardTable.token,
        )
        .order_by(AttemptTable.id)
    )
    with catalog.read() as connection:
        rows = connection.execute(wanted).mappings().all()
        dead = _dead_tokens(connection, [row["id"] for row in rows])
        return [
            Attempt(row["attempt"], shard_of(row), row["number"], row["token"], tokens)
            for row in rows
            for tokens in [dead[row["id"]]]
        ]


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
        return [(shard_of(row), row["dead_token"]) for row in rows]


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
    started = [shard_of(row) for row in connection.execute(statement).mappings()]
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
