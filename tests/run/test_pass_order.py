"""Every pass and round that a run seals has its one place in the order."""

import pytest

from haulage.model import Pass
from haulage.run.pass_order import ORDER, turns
from haulage.run.sequence import _PHASES


def test_phases_are_carried_out_in_the_order_in_which_outcomes_are_laid():
    assert tuple(_PHASES) == ORDER


@pytest.mark.parametrize("attempts", [1, 2, 5])
def test_no_turn_comes_twice_and_no_pass_is_missing(attempts):
    found = list(turns(attempts))
    assert len(set(found)) == len(found)
    assert {pass_ for pass_, _ in found} == set(Pass)


@pytest.mark.parametrize("attempts", [1, 3])
def test_what_comes_later_is_laid_over_what_came_before(attempts):
    found = list(turns(attempts))
    first, last = (Pass.COPY, 0), (Pass.DIRS, 0)
    assert (found[0], found[-1]) == (first, last)
    for round_ in range(attempts + 1):
        made = [(pass_, round_) for pass_ in (Pass.COPY, Pass.PUBLISH, Pass.VERIFY)]
        assert sorted(made, key=found.index) == made
    deletes = found.index((Pass.DELETE, 0))
    assert all(found.index((Pass.COPY, round_)) < deletes for round_ in range(attempts))
    assert found.index((Pass.COPY, attempts)) > deletes  # what deletes had blocked
