"""Makes an entry where the target has its name in the other form."""

from collections.abc import Callable

from haulage.errors import UnstableError
from haulage.model import Action, Kind, Outcome
from haulage.verbs.attempt.attempt import Attempt, look_again
from haulage.verbs.copy import copy
from haulage.verbs.dirs import check_dir, mkdir
from haulage.verbs.link import link


def replace(attempt: Attempt, action: Action, row: int) -> Outcome:
    """Make a file or a link where a directory was, or a directory where one of these.

    Something is left in a directory: BlockedError.
    """
    if action.kind != Kind.DIR:
        if look_again(attempt, action.path).entry.kind == Kind.DIR:
            raise UnstableError("is a directory again")
    elif attempt.source.has_directories:
        check_dir(attempt, action)
    attempt.target.vacate(action.path)
    do: dict[int, Callable[..., Outcome]] = {Kind.SYMLINK: link, Kind.DIR: mkdir}
    return do.get(action.kind, copy)(attempt, action, row)
