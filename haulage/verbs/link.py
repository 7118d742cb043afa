"""Makes symbolic links."""

from haulage.errors import UnstableError, VanishedError
from haulage.model import Action, Kind, Outcome
from haulage.verbs.attempt.attempt import Attempt, look_again
from haulage.verbs.versions import outcome_of_made


def link(attempt: Attempt, action: Action, row: int) -> Outcome:
    """Make or replace a symbolic link, as the source has it now.

    Whoever comes late would bring back what a later run has replaced.
    """
    if action.target is None and attempt.source.has_directories:
        raise VanishedError("could not be read when it was listed")
    seen = look_again(attempt, action.path)
    if seen.entry.kind != Kind.SYMLINK:
        raise UnstableError("is no longer a symbolic link")
    made = attempt.target.link(action.path, row, seen)
    return outcome_of_made(action, seen, made)
