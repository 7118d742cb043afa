"""Makes FIFOs, sockets and devices, for who asks for them."""

from haulage.errors import UnstableError
from haulage.model import Action, Outcome
from haulage.verbs.attempt.attempt import Attempt, look_again
from haulage.verbs.versions import outcome_of_made


def special_file(attempt: Attempt, action: Action, row: int) -> Outcome:
    """Make or replace a special file, as the source has it now.

    That is never opened: it may wait or act.
    """
    seen = look_again(attempt, action.path)
    if seen.entry.kind != action.kind:
        raise UnstableError("is of another type since it was listed")
    made = attempt.target.make_special(action.path, row, seen)
    return outcome_of_made(action, seen, made)
