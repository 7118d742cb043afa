"""Tests that share a slow server are run by one process of several."""

import pytest


@pytest.mark.xdist_group("one")
def test_a_group_of_tests_is_one_for_whoever_distributes_them(
    request: pytest.FixtureRequest,
) -> None:
    # pytest-xdist reads groups off the ends of names, where it has put them itself.
    in_groups = getattr(request.config.option, "loadgroup", False)
    assert not in_groups or request.node.nodeid.endswith("@one")
