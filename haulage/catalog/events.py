"""The log of events: who did what, when."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert, select

from haulage.catalog.db.engine import Catalog
from haulage.catalog.db.patience import patient
from haulage.catalog.db.tables import EventTable


@dataclass(frozen=True)
class Event:
    """One line of the log."""

    id: int
    run_id: str | None
    at: datetime
    what: str
    who: str | None
    detail: Mapping[str, object]


@patient
def note(
    catalog: Catalog,
    run_id: str | None,
    what: str,
    detail: Mapping[str, object],
    who: str | None = None,
) -> None:
    """Write one line into the log."""
    statement = insert(EventTable).values(
        run_id=run_id, what=what, detail=dict(detail), who=who
    )
    with catalog.begin() as connection:
        connection.execute(statement)


@patient
def of_run(catalog: Catalog, run_id: str) -> list[Event]:
    """Return the log of one run, oldest first."""
    wanted = select(EventTable).where(EventTable.run_id == run_id)
    with catalog.read() as connection:
        rows = connection.execute(wanted.order_by(EventTable.id)).mappings()
        return [Event(**row) for row in rows]
