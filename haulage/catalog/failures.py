"""The failures of runs, a row each."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import delete, insert, select

from haulage.catalog.db.engine import Catalog
from haulage.catalog.db.patience import patient
from haulage.catalog.db.tables import FailureTable
from haulage.catalog.runs.run import Run, hold

_BATCH_ROWS = 1000


@dataclass(frozen=True)
class Failure:
    """An entry that failed, and why."""

    path: bytes
    verb: str
    status: str
    error_class: str
    errno: int
    reason: str


@patient
def forget(catalog: Catalog, run: Run) -> None:
    """Drop the failures recorded by an earlier attempt to commit the run."""
    with catalog.begin() as connection:
        hold(connection, run)
        connection.execute(delete(FailureTable).where(FailureTable.run_id == run.id))


@patient
def add(catalog: Catalog, run: Run, failures: Sequence[Failure]) -> None:
    """Add failures to a run."""
    with catalog.begin() as connection:
        hold(connection, run)
        for start in range(0, len(failures), _BATCH_ROWS):
            batch = failures[start : start + _BATCH_ROWS]
            rows = [{"run_id": run.id, **asdict(failure)} for failure in batch]
            connection.execute(insert(FailureTable), rows)


@patient
def of_run(catalog: Catalog, run_id: str, limit: int | None = None) -> list[Failure]:
    """Return the failures of a run, in the order in which they were added."""
    table = FailureTable
    columns = (getattr(table, name) for name in Failure.__dataclass_fields__)
    wanted = select(*columns).where(table.run_id == run_id).order_by(table.id)
    with catalog.read() as connection:
        rows = connection.execute(wanted.limit(limit)).mappings()
        return [Failure(**row) for row in rows]
