"""The order of a run: one list of phases, each with its passes and their rounds.

The sequence carries the phases out in this order, and the overlay lays their outcomes
over the manifest in this order, so that what was done later wins.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from haulage.model import Pass

FILES_ROUND, DIRS_ROUND = 0, 1  # of the delete pass
MAKES = (Pass.COPY, Pass.PUBLISH)
MAKES_AND_PROVES = (*MAKES, Pass.VERIFY)


@dataclass(frozen=True, slots=True)
class Phase:
    """Passes that follow one another in each of some rounds.

    `rounds_of` takes the attempts that the policy allows, and returns round numbers.
    """

    passes: tuple[Pass, ...]
    rounds_of: Callable[[int], range]


COPIES = Phase(MAKES_AND_PROVES, range)
LINKS = Phase((Pass.LINKS,), range)
DELETES = Phase((Pass.DELETE,), lambda _: range(FILES_ROUND, DIRS_ROUND + 1))
# What a directory had blocked, which the delete pass may have removed.
UNBLOCKED = Phase(MAKES_AND_PROVES, lambda attempts: range(attempts, attempts + 1))
UNBLOCKED_LINKS = Phase((Pass.LINKS,), lambda attempts: range(attempts, attempts + 1))
LINK_COPIES = Phase((Pass.VERIFY,), lambda attempts: range(attempts + 1, attempts + 2))
DIRECTORIES = Phase((Pass.DIRS,), lambda _: range(1))

ORDER = (
    COPIES,
    LINKS,
    DELETES,
    UNBLOCKED,
    UNBLOCKED_LINKS,
    LINK_COPIES,
    DIRECTORIES,
)


def turns(attempts: int) -> Iterator[tuple[Pass, int]]:
    """Yield each pass and round that a run can have, in the order of the run."""
    for phase in ORDER:
        for round_ in phase.rounds_of(attempts):
            for pass_ in phase.passes:
                yield pass_, round_
