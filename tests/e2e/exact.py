"""Two judges hold a target against its source."""

from tests.e2e.place import Place
from tests.trees.compare import assert_same, leftovers, rsync_differences


def assert_exact(place: Place) -> None:
    """Let both judges look, and find nothing left over."""
    assert_same(place.source, place.target)
    assert rsync_differences(place.source, place.target) == []
    assert leftovers(place.target) == []
