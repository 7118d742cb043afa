"""Datasets keep their name, source and target; their policy may change."""

import pytest

from haulage.catalog import datasets
from haulage.catalog.datasets import DatasetRow
from haulage.catalog.db.engine import Catalog
from haulage.catalog.runs import runs
from haulage.catalog.runs.runs import Run, RunState
from haulage.config.policy import Dataset, Delete, Once, Policy, Step
from haulage.config.store_options import StoreOptions
from haulage.errors import RefusedError
from tests.catalogs import recorded


def test_a_dataset_is_recorded_once_and_takes_a_new_policy(
    catalog: Catalog, home: DatasetRow
) -> None:
    changed = home.dataset.model_copy(update={"policy": Policy(movers=9)})
    again = recorded(catalog, changed)
    assert again == DatasetRow(home.id, changed, None)
    assert datasets.every(catalog) == [again]


def test_a_name_with_another_target_is_refused(
    catalog: Catalog, home: DatasetRow
) -> None:
    other = home.dataset.model_copy(update={"target": "/elsewhere"})
    with pytest.raises(RefusedError, match=r"/backup/home.*/elsewhere"):
        recorded(catalog, other)
    assert datasets.find(catalog, "home") == home


def test_a_run_that_is_refused_changes_nothing_that_stands(
    catalog: Catalog, home: DatasetRow, run: Run
) -> None:
    stricter = home.dataset.model_copy(update={"policy": Policy(delete=Delete.GUARDED)})
    with pytest.raises(RefusedError, match=run.id):
        runs.begin(catalog, stricter, trigger="test")
    elsewhere = stricter.model_copy(update={"target": "/elsewhere"})
    with pytest.raises(RefusedError, match="/elsewhere"):
        runs.begin(catalog, elsewhere, trigger="test")
    assert datasets.find(catalog, "home") == home
    assert runs.recent(catalog) == [run]


def test_a_run_that_begins_records_its_dataset_unless_it_is_for_once(
    catalog: Catalog, home: DatasetRow
) -> None:
    changed = home.dataset.model_copy(update={"policy": Policy(delete=Delete.PLAN)})
    once = Once(steps=(Step.COPY,), afresh=True, movers=64)
    for stands, standing in ((False, home.dataset), (True, changed)):
        run = runs.begin(catalog, changed, trigger="test", once=once, stands=stands)
        assert datasets.find(catalog, "home").dataset == standing
        assert (run.policy.delete, run.policy.movers) == (Delete.PLAN, 64)
        assert run.policy.once.steps == (Step.COPY,)
        runs.end(catalog, run, RunState.DONE, {})


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
    other = recorded(catalog, Dataset(name="b", source="/b", target="/backup/b"))
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
    row = recorded(catalog, first)
    assert datasets.find(catalog, "lake").dataset == first
    faster = lab.model_copy(update={"in_flight": 99, "profile": "nightly"})
    changed = first.model_copy(update={"source_store": faster})
    assert recorded(catalog, changed) == DatasetRow(row.id, changed, None)
    for endpoint, named in ((None, "that of the cloud"), ("http://other", "other")):
        moved = faster.model_copy(update={"endpoint": endpoint})
        elsewhere = first.model_copy(update={"source_store": moved})
        with pytest.raises(RefusedError, match=f"lake.*lab:9000.*{named}"):
            recorded(catalog, elsewhere)
    assert datasets.get(catalog, row.id).dataset == changed


def test_a_dataset_of_directories_has_the_options_of_none(home: DatasetRow) -> None:
    assert home.dataset.source_store == StoreOptions()
    assert home.dataset.target_store == StoreOptions()
