"""A bucket that is not what the last run left is noticed, and filled again."""

from pathlib import Path

import pytest

from tests.e2e.buckets.shelf import GUARDED, Route, Shelf, Watch
from tests.e2e.place import Place, write
from tests.servers.faults import ACCESS_DENIED, Rule

MARK = ".haulage-state-tree"


@pytest.fixture
def route(place: Place, moto_shelf: Shelf) -> Route:
    """Return a synced directory of some files."""
    for number in range(12):
        write(place.source / f"f{number}", b"%d" % number)
    made = Route(place, place.source, moto_shelf)
    made.synced()
    return made


def keys_of(route: Route) -> set[str]:
    assert isinstance(route.target, Shelf)
    return route.target.etags().keys() - {""}


def test_a_bucket_that_lost_most_of_ours_is_filled_again(route: Route) -> None:
    shelf, wanted = route.target, keys_of(route)
    assert isinstance(shelf, Shelf)
    for key in wanted - {"f3"}:
        shelf.remove(key)
    shelf.put("foreign")
    assert any("it was listed" in note for note in route.synced()["notes"])
    assert keys_of(route) == wanted | {"foreign"}


def test_a_bucket_that_lost_all_of_ours_is_refused_until_a_word(route: Route) -> None:
    shelf, wanted = route.target, keys_of(route)
    assert isinstance(shelf, Shelf)
    for key in wanted:
        shelf.remove(key)
    shelf.put("foreign")
    ended = route.sync()
    assert ended.code == 2
    assert "has none of 12 entries" in ended.text
    assert keys_of(route) == {"foreign"}
    assert route.synced("--afresh")["copied"] == 12
    assert keys_of(route) == wanted | {"foreign"}


def test_a_bucket_without_its_mark_is_listed(route: Route) -> None:
    shelf, wanted = route.target, keys_of(route)
    assert isinstance(shelf, Shelf)
    shelf.remove(MARK)
    shelf.remove("f3")
    assert isinstance(route.source, Path)
    (route.source / "f4").unlink()
    summary = route.synced(*GUARDED)
    assert any("does not have the mark" in note for note in summary["notes"])
    assert (summary["copied"], summary["deleted"]) == (1, 1)
    assert keys_of(route) == wanted - {"f4"}
    assert shelf.head(MARK)


def test_where_no_mark_may_be_put_the_run_goes_on_and_says_so(
    place: Place, moto_shelf: Shelf, watch: Watch
) -> None:
    denied = Rule(ACCESS_DENIED, "PUT", MARK, times=None)
    shelf, _ = watch.before(moto_shelf, denied)
    for number in range(12):
        write(place.source / f"f{number}")
    route = Route(place, place.source, shelf)
    for _ in range(2):
        (note,) = route.synced()["notes"]
        assert "could not be marked" in note
