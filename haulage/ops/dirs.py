"""Gives a directory its final attributes, after all that happened below it."""

import os

from haulage.errors import VanishedError
from haulage.model import Action, Outcome, Status, Verified
from haulage.ops.dressing import dress, wanted_of
from haulage.ops.extras import for_old
from haulage.ops.work import Work
from haulage.storage.tree.attributes import mark_of
from haulage.storage.tree.posix import entry_of


def finish_dir(work: Work, action: Action, _row: int) -> Outcome:
    """Set all attributes of a directory to what its source has now."""
    try:
        source = work.source.open(action.path)
        found = os.fstat(source)
    except (FileNotFoundError, NotADirectoryError) as err:
        raise VanishedError("is gone since it was listed") from err
    target = work.target.open(action.path)
    wanted = wanted_of(work, source, found)
    extras = for_old(work, wanted.xattrs, target, os.fstat(target))
    work.check_cancelled()
    lost = dress(work, target, wanted, extras)
    return Outcome(
        Status.UPDATED,
        verified=Verified.METADATA,
        lost=lost,
        made=mark_of(target, lost, work.kept) if work.kept.times else None,
        entry=entry_of(action.path, found),
    )
