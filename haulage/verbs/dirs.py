"""Gives a directory its final attributes, after all that happened below it."""

import os
import stat

from haulage.errors import UnstableError, VanishedError
from haulage.model import Action, Outcome, Status, Verified
from haulage.storage.tree.files import entry_of, pin
from haulage.storage.tree.metadata.attributes import mark_of
from haulage.verbs.attempt import Work
from haulage.verbs.metadata import Wanted, dress, wanted_of
from haulage.verbs.versions import NOT_MADE
from haulage.verbs.xattrs import for_old


def finish_dir(work: Work, action: Action, _row: int) -> Outcome:
    """Set all attributes of a directory to what its source has now."""
    found, wanted = _looked_at(work, action.path)
    try:
        target = work.target.open(action.path)
    except FileNotFoundError as err:
        raise UnstableError(NOT_MADE) from err
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


def _looked_at(work: Work, path: bytes) -> tuple[os.stat_result, Wanted]:
    """Return what a directory of the source is, and has.

    It is only held: one that may not be read was told as such by its listing.
    """
    try:
        source = pin(work.source, path)
    except (FileNotFoundError, NotADirectoryError) as err:
        raise VanishedError("is gone since it was listed") from err
    try:
        found = os.fstat(source)
        if not stat.S_ISDIR(found.st_mode):
            raise VanishedError("is gone since it was listed")
        return found, wanted_of(work, source, found, pinned=True)
    finally:
        os.close(source)
