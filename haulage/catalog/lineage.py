"""Which run left a target as a version of the manifest says, and what came after it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from haulage.catalog.driving import Run, guarded, must_hit, run_of
from haulage.catalog.engine import Catalog
from haulage.catalog.patience import patient
from haulage.catalog.tables import ManifestTable, RunTable

UNKNOWN = ""  # as `after_run`: of a target that was listed, whoever left it


@dataclass(frozen=True)
class Left:
    """A version, and the run that left the target so; `marked` if that stands there."""

    manifest_id: int
    run_id: str
    created_at: datetime
    marked: bool


@patient
def left_as(catalog: Catalog, manifest_id: int | None) -> Left | None:
    """Return who left the target as a version says."""
    wanted = _LEFT.where(ManifestTable.id == manifest_id)
    with catalog.read() as connection:
        row = connection.execute(wanted).one_or_none()
    return Left(*row) if row else None


@patient
def left_by(catalog: Catalog, dataset_id: int, run_ids: Sequence[str]) -> Left | None:
    """Return the newest version of the first of these runs that has one."""
    for run_id in run_ids:
        wanted = _LEFT.where(
            ManifestTable.dataset_id == dataset_id, ManifestTable.run_id == run_id
        )
        newest = wanted.order_by(ManifestTable.id.desc()).limit(1)
        with catalog.read() as connection:
            row = connection.execute(newest).one_or_none()
        if row:
            return Left(*row)
    return None


@patient
def rebase(catalog: Catalog, run: Run, manifest_id: int, after_run: str) -> Run:
    """Have a run build on a version of its own, which is what `after_run` left."""
    statement = guarded(run).values(base_manifest_id=manifest_id, after_run=after_run)
    with catalog.begin() as connection:
        row = connection.execute(statement.returning(RunTable)).mappings().one_or_none()
        if row is None:
            must_hit(connection, statement, run)
            raise AssertionError("what is lost is told")
        return run_of(row)


@patient
def note_mark(catalog: Catalog, run: Run) -> None:
    """Record that the target says of itself that `run` leaves it."""
    with catalog.begin() as connection:
        must_hit(connection, guarded(run).values(marked=True), run)


_LEFT = select(
    ManifestTable.id, ManifestTable.run_id, ManifestTable.created_at, RunTable.marked
).join(RunTable, RunTable.id == ManifestTable.run_id)
