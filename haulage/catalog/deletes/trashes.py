"""The trashes of runs, and until when they are kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import ColumnElement, select, update

from haulage.catalog.db.column_types import DatabaseNow
from haulage.catalog.db.engine import Catalog, insert_or_update
from haulage.catalog.db.patience import patient
from haulage.catalog.db.tables import TrashTable
from haulage.catalog.runs.run import Run, hold


class TrashState(StrEnum):
    """State of a trash."""

    KEPT = "kept"
    UNDONE = "undone"  # all of it was brought back
    EMPTIED = "emptied"  # it was removed when its time was over


@dataclass(frozen=True)
class Trash:
    """The trash of one run."""

    run_id: str
    state: TrashState
    expires_at: datetime
    is_over: bool
    over_in: str | None  # the run that saw that first


@patient
def note(catalog: Catalog, run: Run, keep_s: float) -> None:
    """Record that `run` has a trash, before it moves the first entry there."""
    with catalog.begin() as connection:
        hold(connection, run)
        statement = insert_or_update(connection, TrashTable).values(
            run_id=run.id,
            dataset_id=run.dataset_id,
            keep_s=int(keep_s),
            state=TrashState.KEPT,
        )
        connection.execute(statement.on_conflict_do_nothing())


def of_run(catalog: Catalog, run_id: str) -> Trash | None:
    """Return the trash of a run, or None."""
    return next(iter(_where(catalog, TrashTable.run_id == run_id)), None)


@patient
def unknown(catalog: Catalog, run_ids: Sequence[str]) -> list[str]:
    """Return which of these runs have no trash that the catalog knows."""
    wanted = select(TrashTable.run_id).where(TrashTable.run_id.in_(run_ids))
    with catalog.read() as connection:
        known = set(connection.scalars(wanted))
    return [run_id for run_id in run_ids if run_id not in known]


def kept(catalog: Catalog, dataset_id: int) -> list[Trash]:
    """Return the trashes that a dataset's target still has, oldest first."""
    is_kept = TrashTable.state == TrashState.KEPT
    return _where(catalog, TrashTable.dataset_id == dataset_id, is_kept)


@patient
def see(catalog: Catalog, run: Run, trash: Trash) -> None:
    """Record whether the trash has expired, by the time of `run`."""
    statement = update(TrashTable).where(TrashTable.run_id == trash.run_id)
    with catalog.begin() as connection:
        hold(connection, run)
        connection.execute(statement.values(over_in=run.id if trash.is_over else None))


@patient
def close(catalog: Catalog, run: Run, trash: Trash, state: TrashState) -> None:
    """Record that `run` has restored everything, or has removed the trash."""
    statement = update(TrashTable).where(TrashTable.run_id == trash.run_id)
    with catalog.begin() as connection:
        hold(connection, run)
        connection.execute(statement.values(state=state))


@patient
def _where(catalog: Catalog, *conditions: ColumnElement[bool]) -> list[Trash]:
    columns = (
        TrashTable.run_id,
        TrashTable.state,
        TrashTable.created_at,
        TrashTable.keep_s,
        TrashTable.over_in,
        DatabaseNow(),
    )
    wanted = select(*columns).where(*conditions).order_by(TrashTable.run_id)
    with catalog.read() as connection:
        rows = connection.execute(wanted).all()
    return [
        Trash(run_id, TrashState(state), until, now >= until, seen)
        for run_id, state, made, keep_s, seen, now in rows
        for until in [made + timedelta(seconds=keep_s)]
    ]
