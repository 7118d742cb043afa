from collections.abc import Iterator

import pytest

from flows.stopping import movers_stopped_early
from haulage.launch.launcher import STOP


@pytest.fixture(autouse=True)
def stop_is_as_before() -> Iterator[None]:
    yield
    STOP.clear()


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, SystemExit])
def test_whatever_ends_the_sequence_early_stops_the_movers(
    kind: type[BaseException],
) -> None:
    with pytest.raises(kind), movers_stopped_early():
        raise kind
    assert STOP.is_set()


def test_a_good_end_stops_nobody() -> None:
    with movers_stopped_early():
        pass
    assert not STOP.is_set()


def test_an_earlier_stop_is_not_taken_for_one_of_this_run() -> None:
    STOP.set()
    with movers_stopped_early():
        assert not STOP.is_set()
