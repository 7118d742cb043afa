"""Which run left a target in the state of a manifest version, and its successors."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Select, case, func, select

from haulage.catalog.db.engine import Catalog
from haulage.catalog.db.patience import patient
from haulage.catalog.db.tables import ManifestTable, RunTable
from haulage.catalog.runs.run import Run, guarded, must_hit, run_of

UNKNOWN = ""  # as `after_run`: of a target that was listed, whoever left it
VERIFY = "verify"  # the trigger of a run that only looks at the target


@dataclass(frozen=True)
class Left:
    """A version, and the run that left the target so; `marked` if it set a mark."""

    manifest_id: int
    run_id: str
    created_at: datetime
    marked: bool


def leaver_of(manifest_id: Select[int | None]) -> Select[str]:
    """Return the run that left a target in the state of a version."""
    return (
        select(LEFT_BY)
        .join_from(ManifestTable, RunTable, RunTable.id == ManifestTable.run_id)
        .where(ManifestTable.id == manifest_id.scalar_subquery())
        .correlate(None)
    )


@patient
def left_as(catalog: Catalog, manifest_id: int | None) -> Left | None:
    """Return which run left the target in the state of a version."""
    wanted = _LEFT.where(ManifestTable.id == manifest_id)
    with catalog.read() as connection:
        row = connection.execute(wanted).one_or_none()
    return Left(*row) if row else None


@patient
def left_by(catalog: Catalog, dataset_id: int, run_ids: Sequence[str]) -> Left | None:
    """Return the newest version that the first possible of these runs left."""
    for run_id in run_ids:
        wanted = _LEFT.where(
            ManifestTable.dataset_id == dataset_id,
            LEFT_BY.in_([run_id]) | (ManifestTable.run_id == run_id),
        )
        newest = wanted.order_by(ManifestTable.id.desc()).limit(1)
        with catalog.read() as connection:
            row = connection.execute(newest).one_or_none()
        if row:
            return Left(*row)
    return None


@patient
def rebase(catalog: Catalog, run: Run, manifest_id: int, after_run: str) -> Run:
    """Make a run build on a version of its own: the state that `after_run` left."""
    statement = guarded(run).values(base_manifest_id=manifest_id, after_run=after_run)
    with catalog.begin() as connection:
        row = connection.execute(statement.returning(RunTable)).mappings().one_or_none()
        if row is None:
            must_hit(connection, statement, run)
            raise AssertionError("what is lost is told")
        return run_of(row)


@patient
def note_mark(catalog: Catalog, run: Run) -> None:
    """Record that the target has a mark of `run`."""
    with catalog.begin() as connection:
        must_hit(connection, guarded(run).values(marked=True), run)


# The run after which a target is as a version says: one that only looked at it left it
# as the run before did, whose mark is there still.
LEFT_BY: ColumnElement[str] = case(
    (RunTable.trigger != VERIFY, RunTable.id),
    else_=func.coalesce(func.nullif(RunTable.after_run, UNKNOWN), RunTable.id),
)
_LEFT = select(
    ManifestTable.id, LEFT_BY, ManifestTable.created_at, RunTable.marked
).join(RunTable, RunTable.id == ManifestTable.run_id)
