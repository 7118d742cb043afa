"""Datasets keep their name, source and target; their policy may change."""

import pytest

from haulage.catalog import datasets
from haulage.catalog.datasets import DatasetRow
from haulage.catalog.engine import Catalog
from haulage.errors import RefusedError
from haulage.policy import Dataset, Policy
from haulage.store_options import StoreOptions


def test_a_dataset_is_recorded_once_and_takes_a_new_policy(
    catalog: Catalog, home: DatasetRow
) -> None:
    changed = home.dataset.model_copy(update={"policy": Policy(movers=9)})
    again = datasets.ensure(catalog, changed)
    assert again == DatasetRow(home.id, changed, None)
    assert datasets.every(catalog) == [again]


def test_a_name_with_another_target_is_refused(
    catalog: Catalog, home: DatasetRow
) -> None:
    other = home.dataset.model_copy(update={"target": "/elsewhere"})
    with pytest.raises(RefusedError, match=r"/backup/home.*/elsewhere"):
        datasets.ensure(catalog, other)
    assert datasets.find(catalog, "home") == home


def test_an_unknown_name_is_refused_with_its_neighbours(
    catalog: Catalog, home: DatasetRow
) -> None:
    with pytest.raises(RefusedError, match=r"'hoem'.*did you mean home\?"):
        datasets.find(catalog, "hoem")
    with pytest.raises(RefusedError, match="1 are known"):
        datasets.find(catalog, "xyzzy")


def test_a_dataset_is_had_again_by_the_id_that_its_runs_carry(
    catalog: Catalog, home: DatasetRow
) -> None:
    other = datasets.ensure(catalog, Dataset(name="b", source="/b", target="/backup/b"))
    assert other.id != home.id
    assert datasets.get(catalog, home.id) == home
    assert datasets.get(catalog, other.id) == other


def test_the_options_of_a_store_may_change_but_not_its_server(
    catalog: Catalog,
) -> None:
    lab = StoreOptions(endpoint="http://lab:9000", tags={"a": "1"})
    first = Dataset(
        name="lake", source="s3://lake/a", target="/backup", source_store=lab
    )
    row = datasets.ensure(catalog, first)
    assert datasets.find(catalog, "lake").dataset == first
    faster = lab.model_copy(update={"in_flight": 99, "profile": "nightly"})
    changed = first.model_copy(update={"source_store": faster})
    assert datasets.ensure(catalog, changed) == DatasetRow(row.id, changed, None)
    for endpoint, named in ((None, "that of the cloud"), ("http://other", "other")):
        moved = faster.model_copy(update={"endpoint": endpoint})
        elsewhere = first.model_copy(update={"source_store": moved})
        with pytest.raises(RefusedError, match=f"lake.*lab:9000.*{named}"):
            datasets.ensure(catalog, elsewhere)
    assert datasets.get(catalog, row.id).dataset == changed


def test_a_dataset_of_directories_has_the_options_of_none(home: DatasetRow) -> None:
    assert home.dataset.source_store == StoreOptions()
    assert home.dataset.target_store == StoreOptions()
