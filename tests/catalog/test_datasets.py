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


def test_a_dataset_is_had_again_by_the_id_that_its_runs_carry(
    catalog: Catalog, home: DatasetRow
) -> None:
    other = datasets.ensure(catalog, Dataset(name="b", source="/b", target="/backup/b"))
    assert other.id != home.id
    assert datasets.get(catalog, home.id) == home
    assert datasets.get(catalog, other.id) == other
