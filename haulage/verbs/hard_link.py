"""Gives an entry of the target another name, as it has one at the source."""

import os
from collections.abc import Callable

from haulage.errors import BlockedError, UnstableError, VanishedError
from haulage.model import (
    DEVICES,
    SPECIALS,
    Action,
    Kind,
    Loss,
    Lost,
    Outcome,
    Status,
    Verified,
)
from haulage.paths import shown
from haulage.storage.tree.hard_link import NO_LINK
from haulage.storage.tree.metadata.xattrs import joined
from haulage.verbs.attempt.attempt import Attempt
from haulage.verbs.copy import copy
from haulage.verbs.link import link
from haulage.verbs.special_file import special_file

_ALONE: dict[int, Callable[[Attempt, Action, int], Outcome]] = {
    Kind.FILE: copy,
    Kind.SYMLINK: link,
    **dict.fromkeys((*SPECIALS, *DEVICES), special_file),
}


def hard(attempt: Attempt, action: Action, row: int) -> Outcome:
    """Make an entry a hard link to its leader.

    Where the file system has no more links it becomes an entry of its own. One that
    comes from a bucket was copied by itself before, and stays the file that it is.
    """
    if action.leader is None:
        raise BlockedError(
            f"another name of inode {action.ino} of device {action.dev} at the source "
            f"could not be made, and this one would be a link to it"
        )
    is_there = not attempt.source.has_directories
    if not is_there:
        _check_source(attempt, action, action.leader)
    try:
        made = attempt.target.join(action, row)
    except UnstableError as err:
        if not is_there:
            raise
        return _linked(action, Status.UNCHANGED, _lost(action, str(err)))
    except OSError as err:
        if err.errno not in NO_LINK:
            raise
        lost = _lost(action, os.strerror(err.errno or 0))
        if is_there:
            return _linked(action, Status.UNCHANGED, lost)
        return _alone(attempt, action, row, lost)
    return _linked(action, Status.MADE if made.changed else Status.UNCHANGED)


def _check_source(attempt: Attempt, action: Action, leader: bytes) -> None:
    """Raise unless both are one file at the source still."""
    mine = attempt.source.look(action.path, anew=False)
    if mine is None:
        raise VanishedError("is gone since it was listed")
    other = attempt.source.look(leader, anew=False)
    is_same = other is not None and (other.entry.dev, other.entry.ino) == (
        mine.entry.dev,
        mine.entry.ino,
    )
    if mine.entry.ino != action.ino or not is_same:
        raise UnstableError(f"is no longer the same file as {shown(leader)}")


def _linked(action: Action, status: Status, lost: Lost | None = None) -> Outcome:
    """Return the outcome of a link, which is proven as far as its leader is."""
    return Outcome(
        status,
        action.checksum,
        Verified(action.verified),
        action.racy,
        entry=action.entry,
        lost=lost,
        made=action.made,
    )


def _alone(attempt: Attempt, action: Action, row: int, lost: Lost) -> Outcome:
    """Copy what cannot be a link, and tell that it is none."""
    outcome = _ALONE[action.kind](attempt, action, row)
    entry = outcome.entry or action.entry
    alone = entry._replace(nlink=1)  # so that no proof holds it to others
    return outcome._replace(entry=alone, lost=joined(lost, outcome.lost))


def _lost(action: Action, why: str) -> Lost:
    words = f"hard link to {shown(action.leader or b'')} not kept: {why}"
    return Lost(Loss.LINK, words)
