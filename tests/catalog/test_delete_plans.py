"""Deletes that wait: kept with their entries, decided once, outdated by later runs."""

import pyarrow as pa
import pytest
from sqlalchemy import func, select

from haulage.catalog.datasets import DatasetRow
from haulage.catalog.db.engine import Catalog
from haulage.catalog.db.tables import DeletePlanPageTable
from haulage.catalog.deletes import delete_plans
from haulage.catalog.deletes.delete_plans import DeletePlan, PlanState
from haulage.catalog.manifests.reader import PAGE_ENTRIES
from haulage.catalog.runs import runs
from haulage.catalog.runs.runs import Run, RunState
from haulage.errors import LostRunError, RefusedError
from tests.catalogs import manifest_table

NASTY = [b"\x01", b"a\nb", b"a\\.", b"d/" + b"x" * 4000, b"\xff\xfe", b"d/"]


def _kept(catalog: Catalog, run: Run, *paths: bytes) -> DeletePlan:
    tables = [manifest_table(paths or NASTY)]
    return delete_plans.record(catalog, run, "too many", lambda: tables)


def _next(catalog: Catalog, run: Run, home: DatasetRow) -> Run:
    runs.end(catalog, run, RunState.DONE, {})
    return runs.begin(catalog, home.dataset, trigger="test")


def _pages_stored(catalog: Catalog) -> int:
    with catalog.read() as connection:
        count = select(func.count()).select_from(DeletePlanPageTable)
        return connection.execute(count).scalar_one()


def test_a_plan_gives_back_what_was_kept(catalog: Catalog, run: Run) -> None:
    table = manifest_table(NASTY)
    plan = delete_plans.record(
        catalog, run, "too \0 many", lambda: [table[:2], table[2:]]
    )
    assert delete_plans.find(catalog, plan.id) == plan
    assert pa.concat_tables(delete_plans.tables(catalog, plan)).equals(table)
    assert (plan.entries, plan.content_bytes) == (len(NASTY), 7 * len(NASTY))
    assert (plan.run_id, plan.state) == (run.id, PlanState.WAITING)
    assert plan.reason == r"too \x00 many"


def test_a_large_plan_is_kept_in_pages(catalog: Catalog, run: Run) -> None:
    table = manifest_table([b"%09d" % number for number in range(PAGE_ENTRIES * 2 + 1)])
    plan = delete_plans.record(catalog, run, "many", lambda: [table[:3], table[3:]])
    pages = list(delete_plans.tables(catalog, plan))
    assert [page.num_rows for page in pages] == [PAGE_ENTRIES, PAGE_ENTRIES, 1]
    assert pa.concat_tables(pages).equals(table)


def test_a_run_that_goes_on_keeps_one_plan(catalog: Catalog, run: Run) -> None:
    _kept(catalog, run)
    plan = _kept(catalog, run, b"other")
    assert delete_plans.listed(catalog) == [plan]
    assert _pages_stored(catalog) == 1


def test_a_stale_driver_keeps_and_decides_nothing(catalog: Catalog, run: Run) -> None:
    plan = _kept(catalog, run)
    runs.take_over(catalog, run)
    with pytest.raises(LostRunError):
        _kept(catalog, run)
    with pytest.raises(LostRunError):
        delete_plans.approve(catalog, run, plan, "ann")
    with pytest.raises(LostRunError):
        delete_plans.outdate(catalog, run)
    assert delete_plans.find(catalog, plan.id) == plan


def test_a_later_listing_makes_a_plan_stale(
    catalog: Catalog, run: Run, home: DatasetRow
) -> None:
    old = _kept(catalog, run)
    following = _next(catalog, run, home)
    new = _kept(catalog, following, b"other")
    delete_plans.outdate(catalog, following)
    states = [plan.state for plan in delete_plans.listed(catalog, home.id)]
    assert states == [PlanState.WAITING, PlanState.STALE]
    assert list(delete_plans.tables(catalog, old)) == []
    assert _pages_stored(catalog) == 1
    with pytest.raises(RefusedError, match="stale: a later run has listed"):
        delete_plans.approve(catalog, following, old, "ann")
    with pytest.raises(RefusedError, match="stale"):
        delete_plans.decline(catalog, old.id, "ann", None)
    assert delete_plans.find(catalog, new.id) == new


def test_an_approved_plan_says_who_and_by_which_run(
    catalog: Catalog, run: Run, home: DatasetRow
) -> None:
    plan = _kept(catalog, run)
    applying = _next(catalog, run, home)
    assert delete_plans.applied_by(catalog, applying) is None
    delete_plans.approve(catalog, applying, plan, "ann")
    assert list(delete_plans.tables(catalog, plan))
    delete_plans.close(catalog, applying, plan)
    found = delete_plans.applied_by(catalog, applying)
    assert found is not None
    assert (found.state, found.decided_by) == (PlanState.APPLIED, "ann")
    assert _pages_stored(catalog) == 0
    delete_plans.approve(catalog, applying, plan, "ann")  # as a resumed run does
    another = _next(catalog, applying, home)
    with pytest.raises(RefusedError, match="by ann and carried out by run"):
        delete_plans.approve(catalog, another, plan, "bob")


def test_a_plan_is_declined_once(catalog: Catalog, run: Run) -> None:
    plan = _kept(catalog, run)
    delete_plans.decline(catalog, plan.id, "ann", "half the disks are missing")
    found = delete_plans.find(catalog, plan.id)
    assert (found.state, found.decided_by) == (PlanState.DECLINED, "ann")
    with pytest.raises(RefusedError, match="declined by ann: half the disks"):
        delete_plans.decline(catalog, plan.id, "bob", None)
    assert delete_plans.find(catalog, plan.id) == found


def test_what_a_run_is_carrying_out_is_not_declined(
    catalog: Catalog, run: Run, home: DatasetRow
) -> None:
    plan = _kept(catalog, run)
    delete_plans.approve(catalog, _next(catalog, run, home), plan, "ann")
    with pytest.raises(RefusedError, match="approved by ann"):
        delete_plans.decline(catalog, plan.id, "bob", None)


def test_an_unknown_plan_is_refused(catalog: Catalog) -> None:
    with pytest.raises(RefusedError, match=r"no delete plan 12 .*deletes list"):
        delete_plans.find(catalog, 12)
