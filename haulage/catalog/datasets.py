"""Standing source, target and policy, by name."""

import difflib
from dataclasses import dataclass

from sqlalchemy import RowMapping, and_, select

from haulage.catalog.engine import Catalog, insert_or_update
from haulage.catalog.patience import patient
from haulage.catalog.tables import DatasetTable
from haulage.errors import RefusedError
from haulage.policy import Dataset, Policy
from haulage.store_options import StoreOptions

_MAY_CHANGE = ("policy", "source_store", "target_store")


@dataclass(frozen=True)
class DatasetRow:
    """A dataset as the catalog knows it, with its current manifest."""

    id: int
    dataset: Dataset
    manifest_id: int | None


@patient
def ensure(catalog: Catalog, dataset: Dataset) -> DatasetRow:
    """Record `dataset`, or its new policy; a name keeps its source and target.

    The endpoint of a bucket is a part of where it is: its other options may change.
    """
    values = {**dataset.model_dump(mode="json")}
    _check_endpoints(catalog, dataset)
    with catalog.begin() as connection:
        insert = insert_or_update(connection, DatasetTable).values(values)
        upsert = insert.on_conflict_do_update(
            index_elements=["name"],
            set_={name: values[name] for name in _MAY_CHANGE},
            where=and_(
                DatasetTable.source == dataset.source,
                DatasetTable.target == dataset.target,
            ),
        ).returning(DatasetTable)
        row = connection.execute(upsert).mappings().one_or_none()
    if row is None:
        raise RefusedError(_taken(find(catalog, dataset.name), dataset))
    return _of(row)


@patient
def _check_endpoints(catalog: Catalog, wanted: Dataset) -> None:
    select_it = select(DatasetTable).where(DatasetTable.name == wanted.name)
    with catalog.read() as connection:
        row = connection.execute(select_it).mappings().one_or_none()
    if row is None:
        return
    old = _of(row).dataset
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
    """Return the dataset `name`; refuse an unknown one, naming those that are near."""
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
    """Return the dataset that a run's row refers to."""
    wanted = select(DatasetTable).where(DatasetTable.id == dataset_id)
    with catalog.read() as connection:
        return _of(connection.execute(wanted).mappings().one())


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
        policy=Policy.model_validate(row["policy"]),
        source_store=StoreOptions.model_validate(row["source_store"]),
        target_store=StoreOptions.model_validate(row["target_store"]),
    )
    return DatasetRow(row["id"], dataset, row["manifest_id"])


def _taken(row: DatasetRow, wanted: Dataset) -> str:
    old = row.dataset
    return (
        f"dataset {old.name} goes from {old.source} to {old.target}, not from"
        f" {wanted.source} to {wanted.target}; choose another name"
    )
