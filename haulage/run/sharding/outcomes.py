"""The outcomes of a run's shards, by pass, round and status."""

import zlib
from collections.abc import Collection, Iterator, Sequence
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from haulage.catalog.runs import shards as ledger
from haulage.catalog.runs.shards import Shard, ShardState
from haulage.config.policy import Verify
from haulage.disksort import ENTRY_ROWS, DiskSort, gathered
from haulage.errors import TRANSIENT_ERRNOS
from haulage.exchange.shard_files import read_outcomes
from haulage.model import Kind, Pass, Status, Verified
from haulage.run.context.run_context import RunContext

_TRY_AGAIN = (Status.UNSTABLE, Status.MISMATCH)


def is_sealed(context: RunContext, pass_: Pass, round_: int | None = None) -> bool:
    """Tell whether a pass has any shard, in one round or in any."""
    return ledger.are_there(context.catalog, context.run.id, pass_, round_)


def done(
    context: RunContext, pass_: Pass | None = None, round_: int | None = None
) -> list[Shard]:
    """Return the finished shards, in canonical order within a pass and a round."""
    return _in_states(context, (ShardState.DONE,), pass_, round_)


def ready(context: RunContext, pass_: Pass, round_: int | None = None) -> list[Shard]:
    """Return the shards that are still to be done, in the same order.

    Some may be running, if another process drove the run before.
    """
    states = (ShardState.READY, ShardState.RUNNING)
    return _in_states(context, states, pass_, round_)


def _in_states(
    context: RunContext,
    states: Collection[ShardState],
    pass_: Pass | None,
    round_: int | None,
) -> list[Shard]:
    return ledger.listed(
        context.catalog, context.run.id, pass_=pass_, round_=round_, states=states
    )


def outcomes_of(
    context: RunContext, shard: Shard, columns: Sequence[str] | None = None
) -> pa.Table:
    """Read the outcomes of a finished shard."""
    assert shard.outcome is not None
    return read_outcomes(context.workspace / shard.outcome, columns)


def rows_with(
    context: RunContext,
    passes: Collection[Pass],
    rounds: Collection[int],
    statuses: Collection[Status],
) -> Iterator[pa.Table]:
    """Yield the outcomes with one of `statuses`, reading only files that have some."""
    names = [status.name.lower() for status in statuses]
    wanted = pa.array(statuses, pa.uint8())
    for shard in ledger.counting(
        context.catalog, context.run.id, passes, rounds, names
    ):
        table = outcomes_of(context, shard)
        yield table.filter(pc.is_in(table["status"], wanted))


def once(
    context: RunContext, name: str, schema: pa.Schema, tables: Iterator[pa.Table]
) -> Iterator[pa.Table] | None:
    """Return one row a path, in order and in large tables; None if there is no row.

    They are sorted on disk, as `name`: a whole huge tree may have failed transiently.
    Parts of one file failed together or not at all.
    """
    rows = DiskSort(context.workspace / name, schema, "path", run_rows=ENTRY_ROWS)
    for table in tables:
        rows.add(table.select(schema.names))
    found = gathered(rows.tables())
    first = next(found, None)
    return None if first is None else chain([first], found)


def worth_another_try(
    context: RunContext, passes: Collection[Pass], round_: int
) -> Iterator[pa.Table]:
    """Yield a round's unstable, mismatched and transient failures."""
    yield from rows_with(context, passes, [round_], _TRY_AGAIN)
    transient = pa.array(sorted(TRANSIENT_ERRNOS), pa.int32())
    for table in rows_with(context, passes, [round_], [Status.FAILED]):
        yield table.filter(pc.is_in(table["errno"], transient))


def _wanted(verify: Verify) -> Verified:
    """Return the proof that an entry needs; its mover may have given it already."""
    return Verified.METADATA if verify is Verify.METADATA else Verified.CHECKSUM


def to_prove(context: RunContext, outcomes: pa.Table) -> pa.Table:
    """Return the outcomes that are still to be verified."""
    made = np.isin(outcomes["status"].to_numpy(), (Status.COPIED, Status.MADE))
    made &= outcomes["verified"].to_numpy() < _wanted(context.policy.verify)
    made &= outcomes["kind"].to_numpy() != Kind.DIR
    wanted = outcomes.filter(pa.array(made))
    if context.policy.verify is not Verify.SAMPLE:
        return wanted
    limit = int(context.policy.sample_share * 2**32)
    drawn = [zlib.crc32(path) < limit for path in wanted["path"].to_pylist()]
    return wanted.filter(pa.array(drawn, pa.bool_()))
