"""Names that a person may type; to list them makes and migrates nothing."""

from sqlalchemy import Select, select

from haulage.catalog.db.engine import as_it_is, is_made
from haulage.catalog.db.tables import DatasetTable, DeletePlanTable, RunTable

_MOST = 20


def dataset_names(url: str | None) -> list[str]:
    """Return the names of all datasets."""
    return _listed(url, select(DatasetTable.name).order_by(DatasetTable.name))


def run_ids(url: str | None) -> list[str]:
    """Return the ids of the newest runs."""
    wanted = select(RunTable.id).order_by(RunTable.number.desc()).limit(_MOST)
    return _listed(url, wanted)


def plan_numbers(url: str | None) -> list[str]:
    """Return the numbers of the newest delete plans."""
    newest = DeletePlanTable.id.desc()
    return _listed(url, select(DeletePlanTable.id).order_by(newest).limit(_MOST))


def _listed(url: str | None, wanted: Select[str] | Select[int]) -> list[str]:
    if not is_made(url)[0]:
        return []
    with as_it_is(url) as catalog, catalog.read() as connection:
        return [str(name) for name in connection.scalars(wanted)]
