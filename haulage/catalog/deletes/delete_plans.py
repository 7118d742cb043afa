"""Delete plans, which wait for a person: keep, show, approve, decline, outdate."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import pyarrow as pa
from sqlalchemy import (
    Connection,
    RowMapping,
    Select,
    Update,
    delete,
    func,
    insert,
    select,
    update,
)

from haulage.catalog.db.column_types import DatabaseNow
from haulage.catalog.db.engine import Catalog
from haulage.catalog.db.patience import patient
from haulage.catalog.db.tables import DeletePlanPageTable, DeletePlanTable
from haulage.catalog.manifests.pages import decoded, encoded
from haulage.catalog.manifests.writer import PAGE_ENTRIES
from haulage.catalog.runs.run import Run, hold
from haulage.errors import RefusedError
from haulage.model import MANIFEST, Kind


class PlanState(StrEnum):
    """State of a plan."""

    WAITING = "waiting"
    APPLIED = "applied"
    DECLINED = "declined"
    STALE = "stale"  # a later run has listed the source


@dataclass(frozen=True)
class DeletePlan:
    """The entries that a run found gone and did not delete.

    `manifest_id` is the version that the run began with. `apply_run_id` is the run that
    deletes, or has deleted, the plan's entries.
    """

    id: int
    dataset_id: int
    run_id: str
    manifest_id: int | None
    entries: int
    content_bytes: int
    reason: str
    state: PlanState
    created_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    because: str | None
    apply_run_id: str | None


@patient
def record(
    catalog: Catalog, run: Run, reason: str, planned: Callable[[], Iterable[pa.Table]]
) -> DeletePlan:
    """Record what the run would have deleted, in place of what it recorded before.

    `planned` gives the manifest's entries, once more with each try: files in canonical
    order, then directories.
    """
    with catalog.begin() as connection:
        hold(connection, run)
        of_run = DeletePlanTable.run_id == run.id
        connection.execute(delete(DeletePlanTable).where(of_run))
        plan_id = _new(connection, run, reason)
        entries = size = 0
        for position, page in enumerate(_pages(planned())):
            entries += page.num_rows
            size += _file_bytes(page)
            row = {"plan_id": plan_id, "position": position, "content": encoded(page)}
            connection.execute(insert(DeletePlanPageTable).values(row))
        counted = (
            update(DeletePlanTable)
            .where(DeletePlanTable.id == plan_id)
            .values(entries=entries, content_bytes=size)
        )
        connection.execute(counted)
        return _one(connection, plan_id, catalog)


@patient
def find(catalog: Catalog, plan_id: int) -> DeletePlan:
    """Return a plan; RefusedError if there is none with this number."""
    with catalog.read() as connection:
        return _one(connection, plan_id, catalog)


def listed(
    catalog: Catalog, dataset_id: int | None = None, limit: int = 20
) -> list[DeletePlan]:
    """Return the plans of one dataset or of all, newest first."""
    wanted = select(DeletePlanTable).order_by(DeletePlanTable.id.desc()).limit(limit)
    if dataset_id is not None:
        wanted = wanted.where(DeletePlanTable.dataset_id == dataset_id)
    return _every(catalog, wanted)


def applied_by(catalog: Catalog, run: Run) -> DeletePlan | None:
    """Return the plan that the run carries out, or None."""
    wanted = select(DeletePlanTable).where(DeletePlanTable.apply_run_id == run.id)
    return next(iter(_every(catalog, wanted)), None)


def tables(catalog: Catalog, plan: DeletePlan) -> Iterator[pa.Table]:
    """Yield a plan's entries a page at a time; a decided plan has none."""
    broken = (
        f"delete plan {plan.id} is damaged in {catalog.shown}: check its disk. "
        f"'haulage deletes decline {plan.id}' drops it, and the next run makes a new "
        "plan"
    )
    for position in _positions(catalog, plan):
        found = _content(catalog, plan, position)
        if found is not None:
            yield decoded(found, None, broken)


@patient
def _positions(catalog: Catalog, plan: DeletePlan) -> Sequence[int]:
    page = DeletePlanPageTable
    wanted = select(page.position).where(page.plan_id == plan.id)
    with catalog.read() as connection:
        return connection.scalars(wanted.order_by(page.position)).all()


@patient
def _content(catalog: Catalog, plan: DeletePlan, position: int) -> bytes | None:
    page = DeletePlanPageTable
    wanted = select(page.content).where(
        page.plan_id == plan.id, page.position == position
    )
    with catalog.read() as connection:
        return connection.scalar(wanted)


@patient
def outdate(catalog: Catalog, run: Run) -> None:
    """Make the plans of earlier runs stale, because `run` lists the source anew."""
    older = (
        DeletePlanTable.dataset_id == run.dataset_id,
        DeletePlanTable.run_id != run.id,
        DeletePlanTable.state == PlanState.WAITING,
    )
    with catalog.begin() as connection:
        hold(connection, run)
        ids = list(connection.scalars(select(DeletePlanTable.id).where(*older)))
        for plan_id in ids:
            _decide(connection, plan_id, PlanState.STALE)


@patient
def approve(catalog: Catalog, run: Run, plan: DeletePlan, who: str) -> None:
    """Assign the plan to `run`; an interrupted run may have been at it before."""
    with catalog.begin() as connection:
        hold(connection, run)
        values = {"apply_run_id": run.id, "decided_by": who}
        approved = _waiting(plan.id).values(**values, decided_at=DatabaseNow())
        if connection.execute(approved).rowcount:
            return
        now = _one(connection, plan.id, catalog)
        if now.apply_run_id != run.id:
            raise RefusedError(not_waiting(now))


@patient
def close(catalog: Catalog, run: Run, plan: DeletePlan) -> None:
    """Record that `run` has processed all entries of the plan."""
    with catalog.begin() as connection:
        hold(connection, run)
        _decide(connection, plan.id, PlanState.APPLIED)


@patient
def decline(catalog: Catalog, plan_id: int, who: str, because: str | None) -> None:
    """Drop a waiting plan; RefusedError for one that is decided."""
    with catalog.begin() as connection:
        is_free = DeletePlanTable.apply_run_id.is_(None)
        statement = _waiting(plan_id).where(is_free)
        values = {"decided_by": who, "because": because}
        if not connection.execute(statement.values(**values)).rowcount:
            raise RefusedError(not_waiting(_one(connection, plan_id, catalog)))
        _decide(connection, plan_id, PlanState.DECLINED)


def not_waiting(plan: DeletePlan) -> str:
    """Return why a plan can be neither applied nor declined."""
    if plan.state is PlanState.STALE:
        return (
            f"delete plan {plan.id} is stale: a later run has listed the source since"
            f" {plan.created_at:%Y-%m-%d %H:%M} UTC; look for that run's plan with"
            f" 'haulage deletes list'"
        )
    if plan.state is PlanState.DECLINED:
        because = f": {plan.because}" if plan.because else ""
        return f"delete plan {plan.id} was declined by {plan.decided_by}{because}"
    return (
        f"delete plan {plan.id} was approved by {plan.decided_by} and carried out by "
        f"run {plan.apply_run_id}; 'haulage show {plan.apply_run_id}' shows its "
        "progress"
    )


def _new(connection: Connection, run: Run, reason: str) -> int:
    statement = insert(DeletePlanTable).values(
        dataset_id=run.dataset_id,
        run_id=run.id,
        manifest_id=run.base_manifest_id,
        entries=0,
        content_bytes=0,
        reason=reason,
        state=PlanState.WAITING,
    )
    made = connection.execute(statement.returning(DeletePlanTable.id))
    return int(made.scalar_one())


def _pages(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Yield the entries in pages of one size."""
    buffer, rows = [], 0
    for table in tables:
        buffer.append(table.select(MANIFEST.names).cast(MANIFEST))
        rows += table.num_rows
        while rows >= PAGE_ENTRIES:
            whole = pa.concat_tables(buffer)
            yield whole.slice(0, PAGE_ENTRIES)
            buffer, rows = [whole.slice(PAGE_ENTRIES)], rows - PAGE_ENTRIES
    if rows:
        yield pa.concat_tables(buffer)


def _file_bytes(page: pa.Table) -> int:
    is_file = page["kind"].to_numpy() == Kind.FILE
    return int(page["size"].to_numpy()[is_file].sum())


def _waiting(plan_id: int) -> Update:
    return update(DeletePlanTable).where(
        DeletePlanTable.id == plan_id, DeletePlanTable.state == PlanState.WAITING
    )


def _decide(connection: Connection, plan_id: int, state: PlanState) -> None:
    """Set a waiting plan's final state, and remove its entries."""
    statement = _waiting(plan_id)
    # Who approved it and when stands there already, where a person did.
    decided_at = func.coalesce(DeletePlanTable.decided_at, DatabaseNow())
    connection.execute(statement.values(state=state, decided_at=decided_at))
    pages = DeletePlanPageTable.plan_id == plan_id
    connection.execute(delete(DeletePlanPageTable).where(pages))


def _one(connection: Connection, plan_id: int, catalog: Catalog) -> DeletePlan:
    wanted = select(DeletePlanTable).where(DeletePlanTable.id == plan_id)
    row = connection.execute(wanted).mappings().one_or_none()
    if row is None:
        raise RefusedError(
            f"no delete plan {plan_id} in {catalog.shown}; 'haulage deletes list' "
            "lists the existing ones"
        )
    return _of(row)


@patient
def _every(catalog: Catalog, wanted: Select[DeletePlanTable]) -> list[DeletePlan]:
    with catalog.read() as connection:
        return [_of(row) for row in connection.execute(wanted).mappings()]


def _of(row: RowMapping) -> DeletePlan:
    same = [name for name in DeletePlan.__dataclass_fields__ if name != "state"]
    return DeletePlan(
        **{name: row[name] for name in same}, state=PlanState(row["state"])
    )
