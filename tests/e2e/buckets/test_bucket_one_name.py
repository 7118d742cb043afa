"""`d` and `d/` are one name to a tree, whichever end is a bucket."""

import shutil

from tests.e2e.buckets.shelf import GUARDED, Route, Shelf
from tests.e2e.place import Place, write


def test_a_bucket_has_a_name_in_one_form_alone(place: Place, moto_shelf: Shelf) -> None:
    home, away = place.source / "p", place.root / "away"
    route = Route(place, place.source, moto_shelf)
    write(home / "d")
    route.synced()
    home.rename(away)
    write(home / "d" / "inside")
    write(home / "d-")
    route.synced()
    assert moto_shelf.etags().keys() == {"", "p/", "p/d-", "p/d/", "p/d/inside"}
    shutil.rmtree(home)
    away.rename(home)
    route.synced(*GUARDED)
    assert moto_shelf.etags().keys() == {"", "p/", "p/d"}


def test_keys_that_no_tree_can_hold_together_are_told(
    place: Place, moto_shelf: Shelf
) -> None:
    moto_shelf.put("d", b"a file")
    moto_shelf.put("d/x", b"below it")
    route = Route(place, moto_shelf, place.target)
    for _ in range(2):
        assert route.sync().code == 1
        assert place.failures().keys() >= {b"d"}
