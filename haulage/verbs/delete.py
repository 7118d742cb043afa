"""Removes what we made and the source no longer has, if every guard agrees."""

import os

from haulage.errors import FatalError
from haulage.model import Action, Outcome, Status
from haulage.storage.tree.files import kind_of, stat_in
from haulage.storage.tree.ours import is_ours
from haulage.storage.tree.remove import gone_already, remove_ours
from haulage.storage.tree.trash.restore import bring_back
from haulage.verbs.attempt import Work


def check_source_has_entries(work: Work) -> None:
    """Raise FatalError for an empty source: one not mounted looks the same."""
    with os.scandir(work.source.root_fd) as entries:
        if all(is_ours(os.fsencode(entry.name)) for entry in entries):
            raise FatalError(
                "the source is empty now, as it is when it is not mounted; nothing was "
                "deleted. Mount it and resume, or allow an empty source"
            )


def delete(work: Work, action: Action, _row: int) -> Outcome:
    """Remove one entry of the target after proof of its absence at the source.

    The source is walked anew for each proof: a descriptor kept from before might show a
    directory that has been replaced.
    """
    work.source.forget()
    there = stat_in(work.source, action.path)
    found = stat_in(work.target, action.path)
    if there is not None and kind_of(there.st_mode) == action.kind:
        return Outcome(Status.KEPT, reason="is at the source again")
    if found is None:
        return gone_already(work.target, action.path, work.trash)
    if there is not None and kind_of(there.st_mode) == kind_of(found.st_mode):
        return Outcome(Status.REPLACED)
    work.check_cancelled()
    return remove_ours(work.target, action, found, work.trash)


def restore(work: Work, action: Action, _row: int) -> Outcome:
    """Bring back one entry that another run moved aside."""
    assert work.trash is not None
    return bring_back(work.target, action, work.trash)
