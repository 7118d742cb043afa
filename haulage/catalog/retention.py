"""Remove runs that ended long ago, with all their records."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from sqlalchemy import (
    ColumnElement,
    Delete,
    Select,
    delete,
    exists,
    or_,
    select,
    update,
)

from haulage.catalog.db.column_types import DatabaseNow
from haulage.catalog.db.engine import Catalog
from haulage.catalog.db.patience import patient
from haulage.catalog.db.tables import (
    AttemptTable,
    DatasetTable,
    DeletePlanTable,
    EventTable,
    FailureTable,
    ManifestTable,
    PageTable,
    ResultTable,
    RunTable,
    ShardTable,
    TombstoneTable,
    TrashTable,
)
from haulage.config.limits import Keep

_ROWS_AT_ONCE = 5000
_RESULTS_KEPT_DAYS = 180
_RUNS_AT_ONCE = 50  # after a night that adds one; the rest goes in the next ones


def prune_runs(catalog: Catalog, dataset_id: int, keep: Keep) -> Iterator[int]:
    """Remove the runs that are older than `keep` allows and that nothing refers to.

    Kept are the newest runs, active ones, and those with a page in a version, a waiting
    plan, or a trash. Every step is one transaction and yields how many runs it removed.
    """
    until = _now(catalog) - timedelta(days=keep.days)
    for run_id in _found(catalog, _old(dataset_id, until, keep.runs)):
        if not _close(catalog, dataset_id, run_id):
            continue
        for some in _parts(run_id):
            while _removed(catalog, *some):
                yield 0
        _removed(catalog, delete(TrashTable).where(TrashTable.run_id == run_id))
        yield _removed(catalog, delete(RunTable).where(RunTable.id == run_id))


def prune_results(catalog: Catalog) -> Iterator[int]:
    """Remove old results of flows, step by step."""
    until = _now(catalog) - timedelta(days=_RESULTS_KEPT_DAYS)
    keys = select(ResultTable.key).where(ResultTable.stored_at < until)
    some = ResultTable.key.in_(keys.limit(_ROWS_AT_ONCE))
    while _removed(catalog, delete(ResultTable).where(some)):
        yield 0


@patient
def has_forgotten(catalog: Catalog, dataset_id: int) -> bool:
    """Tell whether runs of the dataset were removed."""
    wanted = select(DatasetTable.has_forgotten).where(DatasetTable.id == dataset_id)
    with catalog.read() as connection:
        return bool(connection.scalar(wanted))


@patient
def _now(catalog: Catalog) -> datetime:
    with catalog.read() as connection:
        return connection.execute(select(DatabaseNow())).scalar_one()


@patient
def _found(catalog: Catalog, wanted: Select[str]) -> list[str]:
    with catalog.read() as connection:
        return list(connection.scalars(wanted))


def _old(dataset_id: int, until: datetime, newest: int) -> Select[str]:
    of_dataset = RunTable.dataset_id == dataset_id
    order = (RunTable.number.desc(), RunTable.id.desc())
    young = select(RunTable.id).where(of_dataset).order_by(*order).limit(newest)
    old = (RunTable.started_at < until, RunTable.id.not_in(young.scalar_subquery()))
    wanted = select(RunTable.id).where(of_dataset, *old, _is_free())
    return wanted.order_by(RunTable.number, RunTable.id).limit(_RUNS_AT_ONCE)


def _is_free() -> ColumnElement[bool]:
    """Return the condition that nothing needed refers to a run."""
    run, plan = RunTable.id, DeletePlanTable
    carries = or_(plan.run_id == run, plan.apply_run_id == run)
    return ~or_(
        RunTable.state == "active",
        exists().where(ManifestTable.run_id == run),
        exists().where(PageTable.run_id == run),
        exists().where(carries, plan.state == "waiting"),
        exists().where(TrashTable.run_id == run, TrashTable.state == "kept"),
    )


@patient
def _close(catalog: Catalog, dataset_id: int, run_id: str) -> bool:
    """Make sure that nobody resumes a run, and record that it was removed."""
    ended = update(RunTable).where(RunTable.id == run_id, _is_free())
    lacks = update(DatasetTable).where(DatasetTable.id == dataset_id)
    with catalog.begin() as connection:
        if not connection.execute(ended.values(state="superseded")).rowcount:
            return False
        connection.execute(lacks.values(has_forgotten=True))
        return True


def _parts(run_id: str) -> Iterator[list[Delete]]:
    """Yield statements that remove some rows of a run; repeat each until none match."""
    some = select(ShardTable.id).where(ShardTable.run_id == run_id)
    some = some.order_by(ShardTable.id).limit(_ROWS_AT_ONCE)
    yield [
        delete(AttemptTable).where(AttemptTable.shard_id.in_(some)),
        delete(ShardTable).where(ShardTable.id.in_(some)),
    ]
    for table, key in (
        (FailureTable, FailureTable.id),
        (EventTable, EventTable.id),
        (DeletePlanTable, DeletePlanTable.id),
        (TombstoneTable, TombstoneTable.path_hash),
    ):
        of_run = table.run_id == run_id
        keys = select(key).where(of_run).limit(_ROWS_AT_ONCE)
        yield [delete(table).where(of_run, key.in_(keys))]


@patient
def _removed(catalog: Catalog, *statements: Delete) -> int:
    """Carry out one transaction; return how many rows its last statement removed."""
    with catalog.begin() as connection:
        return [connection.execute(one).rowcount for one in statements][-1]
