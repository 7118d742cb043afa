"""Targets that overlap are refused without leave, and no two runs work in one."""

import threading
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from haulage.catalog import datasets
from haulage.catalog.db.engine import Catalog
from haulage.catalog.db.tables import DatasetTable, RunTable
from haulage.catalog.runs import runs, sharing
from haulage.catalog.runs.driver import LEASE_S, LONG_OVER_S
from haulage.catalog.runs.runs import Run, RunState
from haulage.config.policy import Dataset, Policy
from haulage.config.store_options import StoreOptions
from haulage.errors import RefusedError
from haulage.place import Place

SHARES = Policy(share_target=True)


def to(target: str, endpoint: str | None = None, name: str = "other") -> Dataset:
    store = StoreOptions(endpoint=endpoint)
    return Dataset(name=name, source="/data", target=target, target_store=store)


def named(dataset: Dataset, name: str) -> Dataset:
    return dataset.model_copy(update={"name": name})


def sharing_to(target: str) -> Dataset:
    return to(target).model_copy(update={"policy": SHARES})


def has_manifest(catalog: Catalog, dataset: Dataset) -> None:
    """Have the dataset as after a first run."""
    run = runs.begin(catalog, dataset, trigger="test")
    runs.end(catalog, run, RunState.DONE, {})
    named = update(DatasetTable).where(DatasetTable.name == dataset.name)
    with catalog.begin() as connection:
        connection.execute(named.values(manifest_id=7))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (to("/backup"), to("/backup")),
        (to("/backup"), to("/backup/below")),
        (to("/backup/below"), to("/")),
        (to("s3://b/a"), to("s3://b/a/b")),
        (to("s3://b/a"), to("s3://b")),
        (to("s3://b", "http://127.0.0.1:90"), to("s3://b/c", "http://localhost:90")),
        (to("s3://b", "http://lab"), to("s3://b", "http://LAB:80/")),
    ],
    ids=lambda dataset: dataset.target,
)
def test_targets_that_overlap_need_the_word_of_either(
    catalog: Catalog, one: Dataset, other: Dataset
) -> None:
    has_manifest(catalog, named(one, "one"))
    before = datasets.every(catalog)
    with pytest.raises(RefusedError, match=r"of dataset one;.*--share-target"):
        runs.begin(catalog, other, trigger="test")
    assert datasets.every(catalog) == before
    shares = other.model_copy(update={"policy": SHARES})
    run = runs.begin(catalog, shares, trigger="test")
    runs.end(catalog, run, RunState.DONE, {})
    run = runs.begin(catalog, named(one, "one"), trigger="test")
    assert run.state is RunState.ACTIVE


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (to("/backup"), to("/backup2")),
        (to("s3://b/a"), to("s3://b/ab")),
        (to("s3://b"), to("gs://b")),
        (to("s3://b"), to("s3://c")),
        (to("s3://b", "http://lab"), to("s3://b", "http://lab:81")),
        (to("s3://b", "http://lab"), to("s3://b")),
    ],
    ids=lambda dataset: dataset.target,
)
def test_targets_that_are_beside_each_other_need_none(
    catalog: Catalog, one: Dataset, other: Dataset
) -> None:
    has_manifest(catalog, named(one, "one"))
    assert runs.begin(catalog, other, trigger="test").state is RunState.ACTIVE


def test_a_dataset_that_has_nothing_in_its_target_does_not_count(
    catalog: Catalog,
) -> None:
    run = runs.begin(catalog, to("/backup", name="one"), trigger="test")
    with pytest.raises(RefusedError, match="of dataset one;"):
        runs.begin(catalog, to("/backup"), trigger="test")
    runs.end(catalog, run, RunState.ABANDONED, {})
    assert runs.begin(catalog, to("/backup"), trigger="test")


def test_a_link_to_a_target_is_told_by_what_was_recorded_of_it(
    catalog: Catalog, tmp_path: Path
) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir()
    link.symlink_to(real)
    has_manifest(catalog, to(str(link), name="one"))
    link.unlink()  # as if its file system did not answer
    with pytest.raises(RefusedError, match="of dataset one;"):
        runs.begin(catalog, to(str(real / "below")), trigger="test")
    (near,) = sharing.around(catalog, "other", Place(str(real / "below")))
    assert (near.name, near.above, near.below) == ("one", b"below/", b"")


def test_a_run_waits_for_that_of_another_dataset_in_its_target(
    catalog: Catalog,
) -> None:
    mine = runs.begin(catalog, sharing_to("/backup"), trigger="test")
    runs.end(catalog, mine, RunState.FAILED, {})
    other = runs.begin(catalog, to("/backup/x", name="one"), trigger="test")
    for _ in range(2):
        with pytest.raises(RefusedError, match=rf"run {other.id} of dataset one.*stop"):
            runs.begin(catalog, sharing_to("/backup"), trigger="test")
        with pytest.raises(RefusedError, match=rf"run {other.id} of dataset one.*stop"):
            runs.take_over(catalog, mine)
        _elsewhere(catalog, other, 0)
    _elsewhere(catalog, other, LEASE_S + 9)
    with pytest.raises(RefusedError, match=f"haulage abandon {other.id} --take-over"):
        runs.take_over(catalog, mine)
    assert runs.find(catalog, mine.id).state is RunState.FAILED
    _elsewhere(catalog, other, LONG_OVER_S + 9)
    assert runs.take_over(catalog, mine).state is RunState.ACTIVE
    assert runs.take_over(catalog, other, goes_on=False)  # to end it


def test_of_many_that_begin_at_once_in_one_target_one_begins(catalog: Catalog) -> None:
    begun: list[Run] = []
    refused: list[RefusedError] = []
    gate = threading.Barrier(4)

    def begin(number: int) -> None:
        dataset = named(sharing_to("/backup"), f"number-{number}")
        gate.wait()
        try:
            begun.append(runs.begin(catalog, dataset, trigger="test"))
        except RefusedError as err:
            refused.append(err)

    threads = [threading.Thread(target=begin, args=(each,)) for each in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(begun), len(refused)) == (1, 3)
    assert len(datasets.every(catalog)) == 1


def _elsewhere(catalog: Catalog, run: Run, silent_s: float) -> None:
    """Have another host drive the run, which was not heard for some seconds."""
    then = run.heartbeat_at - timedelta(seconds=silent_s)
    change = update(RunTable).where(RunTable.id == run.id)
    with catalog.begin() as connection:
        connection.execute(change.values(driver_host="another", heartbeat_at=then))
