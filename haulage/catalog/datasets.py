"""Datasets: a recorded source, target and policy, by name."""

import difflib
from dataclasses import dataclass

from sqlalchemy import Connection, RowMapping, select, update

from haulage.catalog.db.engine import Catalog, insert_or_update
from haulage.catalog.db.patience import patient
from haulage.catalog.db.tables import DatasetTable
from haulage.config.policy import RECORDED, Dataset, Policy
from haulage.config.store_options import StoreOptions
from haulage.errors import RefusedError

_MAY_CHANGE = ("policy", "source_store", "target_store")


@dataclass(frozen=True)
class DatasetRow:
    """A dataset as the catalog knows it, with its current manifest."""

    id: int
    dataset: Dataset
    manifest_id: int | None


def record(connection: Connection, dataset: Dataset) -> int:
    """Record `dataset`, or its new policy, and return its number.

    A name keeps its source, its target and their servers; other options of a store may
    change.
    """
    values = dataset.model_dump(mode="json")
    new = insert_or_update(connection, DatasetTable).values(values)
    connection.execute(new.on_conflict_do_nothing())
    wanted = select(DatasetTable).where(DatasetTable.name == dataset.name)
    row = _of(connection.execute(wanted.with_for_update()).mappings().one())
    _check_same_ends(row.dataset, dataset)
    change = update(DatasetTable).where(DatasetTable.id == row.id)
    connection.execute(change.values({name: values[name] for name in _MAY_CHANGE}))
    return row.id


@patient
def known(catalog: Catalog, wanted: Dataset) -> DatasetRow | None:
    """Return the recorded dataset, or None; RefusedError if its endpoints differ."""
    named = select(DatasetTable).where(DatasetTable.name == wanted.name)
    with catalog.read() as connection:
        row = connection.execute(named).mappings().one_or_none()
    if row is None:
        return None
    found = _of(row)
    _check_same_ends(found.dataset, wanted)
    return found


def _check_same_ends(old: Dataset, wanted: Dataset) -> None:
    if (wanted.source, wanted.target) != (old.source, old.target):
        raise RefusedError(
            f"dataset {old.name} goes from {old.source} to {old.target}, not from"
            f" {wanted.source} to {wanted.target}; choose another name"
        )
    for now, was in (
        (wanted.source_store, old.source_store),
        (wanted.target_store, old.target_store),
    ):
        if now.endpoint != was.endpoint:
            raise RefusedError(
                f"dataset {old.name} is on the server {was.endpoint or 'of the cloud'},"
                f" not on {now.endpoint or 'that of the cloud'}; choose another name"
            )


@patient
def find(catalog: Catalog, name: str) -> DatasetRow:
    """Return the dataset `name`; RefusedError with similar names if there is none."""
    wanted = select(DatasetTable).where(DatasetTable.name == name)
    with catalog.read() as connection:
        row = connection.execute(wanted).mappings().one_or_none()
        if row is not None:
            return _of(row)
        known = connection.scalars(select(DatasetTable.name)).all()
    near = difflib.get_close_matches(name, known, n=5, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"{len(known)} are known"
    raise RefusedError(f"no dataset {name!r} in {catalog.shown}: {hint}")


@patient
def get(catalog: Catalog, dataset_id: int) -> DatasetRow:
    """Return the dataset of a run."""
    wanted = select(DatasetTable).where(DatasetTable.id == dataset_id)
    with catalog.read() as connection:
        return _of(connection.execute(wanted).mappings().one())


@patient
def every(catalog: Catalog) -> list[DatasetRow]:
    """Return all datasets by name."""
    wanted = select(DatasetTable).order_by(DatasetTable.name)
    with catalog.read() as connection:
        return [_of(row) for row in connection.execute(wanted).mappings()]


def _of(row: RowMapping) -> DatasetRow:
    dataset = Dataset(
        name=row["name"],
        source=row["source"],
        target=row["target"],
        policy=Policy.model_validate(row["policy"], context=RECORDED),
        source_store=StoreOptions.model_validate(row["source_store"]),
        target_store=StoreOptions.model_validate(row["target_store"]),
    )
    return DatasetRow(row["id"], dataset, row["manifest_id"])
