"""Sets attributes alone."""

from haulage.errors import VanishedError
from haulage.model import Action, Outcome, Verified
from haulage.storage.versions import is_as_listed
from haulage.verbs.attempt.attempt import Attempt
from haulage.verbs.check import check
from haulage.verbs.copy import copy
from haulage.verbs.in_place import IN_PLACE, update


def meta(attempt: Attempt, action: Action, row: int) -> Outcome:
    """Set attributes alone; copy if the target's entry is not the one that we made."""
    source = attempt.source
    now = source.now(action.path)
    seen = source.look(action.path, anew=False, described=True)
    if seen is None:
        raise VanishedError("is gone since it was listed")
    if not is_as_listed(action, seen.entry):
        again = check if source.has_directories else copy
        return again(attempt, action, row)
    outcome = update(attempt, action, row, seen, now)
    if outcome is None:
        return copy(attempt, action, row)
    if outcome.status not in IN_PLACE:
        return outcome
    in_doubt = action.racy and source.has_directories  # nobody has read the content
    return outcome._replace(
        verified=Verified(action.verified), racy=in_doubt or outcome.racy
    )
