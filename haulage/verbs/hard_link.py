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
from haulage.storage.tree.files import stat_in
from haulage.storage.tree.hard_link import NO_LINK, is_same, leader_of, link_to
from haulage.storage.tree.metadata.xattrs import joined
from haulage.verbs.attempt import Attempt, tree
from haulage.verbs.copy import copy, link
from haulage.verbs.special_file import special_file

_ALONE: dict[int, Callable[[Attempt, Action, int], Outcome]] = {
    Kind.FILE: copy,
    Kind.SYMLINK: link,
    **dict.fromkeys((*SPECIALS, *DEVICES), special_file),
}


def hard(attempt: Attempt, action: Action, row: int) -> Outcome:
    """Make an entry a hard link to its leader.

    Where the file system has no more links it becomes an entry of its own.
    """
    if action.leader is None:
        raise BlockedError(
            f"another name of inode {action.ino} of device {action.dev} at the source "
            f"could not be made, and this one would be a link to it"
        )
    _check_source(attempt, action, action.leader)
    leader = leader_of(action)
    temp = tree(attempt.target).temp(row)
    try:
        is_new = link_to(
            tree(attempt.target).descent,
            leader,
            action.path,
            temp,
            attempt.check_cancelled,
        )
    except OSError as err:
        if err.errno not in NO_LINK:
            raise
        return _copied(attempt, action, row, err)
    return _linked(action, Status.MADE if is_new else Status.UNCHANGED)


def _check_source(attempt: Attempt, action: Action, leader: bytes) -> None:
    """Raise unless both are one file at the source still."""
    mine = stat_in(tree(attempt.source).descent, action.path)
    if mine is None:
        raise VanishedError("is gone since it was listed")
    if mine.st_ino != action.ino or not is_same(
        stat_in(tree(attempt.source).descent, leader), mine
    ):
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


def _copied(attempt: Attempt, action: Action, row: int, err: OSError) -> Outcome:
    """Copy what cannot be a link, and tell that it is none."""
    outcome = _ALONE[action.kind](attempt, action, row)
    entry = outcome.entry or action.entry
    lost = joined(_lost(action, os.strerror(err.errno or 0)), outcome.lost)
    alone = entry._replace(nlink=1)  # so that no proof holds it to others
    return outcome._replace(entry=alone, lost=lost)


def _lost(action: Action, why: str) -> Lost:
    words = f"hard link to {shown(action.leader or b'')} not kept: {why}"
    return Lost(Loss.LINK, words)


def rejoin(attempt: Attempt, action: Action, row: int) -> Outcome:
    """Make an entry that was copied by itself a hard link to its leader.

    Both are equal by what is recorded of their objects, so none of these is asked.
    Where it cannot be, the entry stays the file that it is.
    """
    try:
        made = attempt.target.join(action, row)
    except UnstableError as err:
        return _linked(action, Status.UNCHANGED, _lost(action, str(err)))
    except OSError as err:
        if err.errno not in NO_LINK:
            raise
        why = os.strerror(err.errno or 0)
        return _linked(action, Status.UNCHANGED, _lost(action, why))
    return _linked(action, Status.MADE if made.changed else Status.UNCHANGED)
