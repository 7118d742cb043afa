"""Directories arrive in a bucket whatever happened when its server was tried out."""

import pytest

from tests.e2e.buckets.shelf import Route, Shelf, Watch
from tests.e2e.place import Place, write
from tests.servers import faults
from tests.servers.faults import Answer, Rule
from tests.trees.compare import assert_same

TRIAL = r"/\.haulage-"


@pytest.fixture
def planted(place: Place) -> Place:
    """Return a place whose source has directories with attributes of their own."""
    write(place.source / "full" / "file", b"content")
    (place.source / "empty").mkdir()
    for name, mode in (("full", 0o2750), ("empty", 0o700)):
        (place.source / name).chmod(mode)
    return place


@pytest.mark.parametrize(
    "fault",
    [
        faults.SLOW_DOWN,
        pytest.param(faults.INTERNAL_ERROR, marks=pytest.mark.torture),
    ],
    ids=lambda fault: fault.code,
)
def test_a_moment_of_trouble_at_the_trial_costs_no_directory(
    planted: Place, moto_shelf: Shelf, watch: Watch, fault: Answer
) -> None:
    faulty, passing = watch.before(moto_shelf, Rule(fault, "PUT", TRIAL, times=4))
    summary = Route(planted, planted.source, faulty).synced()
    assert summary["notes"] == []
    assert len(passing.seen("PUT", TRIAL)) > 4
    back = planted.root / "back"
    Route(planted, moto_shelf, back).synced("--name", "back")
    assert_same(planted.source, back)


def test_a_target_that_takes_no_object_ends_the_run_with_its_reason(
    planted: Place, moto_shelf: Shelf, watch: Watch
) -> None:
    wrong = Answer(400, "InvalidStorageClass")
    refused, _ = watch.before(moto_shelf, Rule(wrong, "PUT", times=None))
    route = Route(planted, planted.source, refused)
    ended = route.sync("--name", "refused")
    assert ended.code == 2, ended.out
    assert f"target {moto_shelf.url} takes no object" in ended.text
    assert wrong.code in ended.text
    assert route.reasons() == {}
    assert moto_shelf.etags() == {}
    back = planted.root / "back"
    Route(planted, planted.source, moto_shelf).synced()
    Route(planted, moto_shelf, back).synced("--name", "back")
    assert_same(planted.source, back)


def test_a_target_that_may_only_be_read_can_be_verified(
    planted: Place, moto_shelf: Shelf, watch: Watch
) -> None:
    target, passing = watch.before(moto_shelf)
    Route(planted, planted.source, target).synced()
    passing.add(Rule(faults.ACCESS_DENIED, "PUT", times=None))
    written = len(passing.seen("PUT"))
    ended = planted.haulage("verify", planted.name, "--json")
    assert ended.code == 0, (ended.text, ended.out)
    assert len(passing.seen("PUT")) == written
