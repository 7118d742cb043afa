"""Datasets keep their name, source and target; their policy may change."""

import pytest

from haulage.catalog import datasets
from haulage.catalog.datasets import DatasetRow
from haulage.catalog.engine import Catalog
from haulage.errors import RefusedError
from haulage.policy import Dataset, Policy


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


def test_a_dataset_is_found_by_its_source_and_target(
    catalog: Catalog, home: DatasetRow
) -> None:
    datasets.ensure(catalog, Dataset(name="b", source="/b", target="/backup/home"))
    assert datasets.for_pair(catalog, "/data/home", "/backup/home") == home
    assert datasets.for_pair(catalog, "/data/home", "/b") is None
