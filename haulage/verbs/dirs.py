"""Gives a directory its final attributes, after all that happened below it."""

import os
import stat

from haulage.errors import UnstableError, VanishedError
from haulage.model import Action, Outcome, Status, Verified
from haulage.storage.tree.files import entry_of, pin
from haulage.storage.tree.metadata.attributes import mark_of
from haulage.storage.tree.metadata.entries import (
    Metadata,
    changes_to,
    metadata_of,
    set_metadata,
)
from haulage.verbs.attempt import Attempt, tree
from haulage.verbs.versions import NOT_MADE


def finish_dir(attempt: Attempt, action: Action, _row: int) -> Outcome:
    """Set all attributes of a directory to what its source has now."""
    found, wanted = _looked_at(attempt, action.path)
    try:
        target = tree(attempt.target).descent.open(action.path)
    except FileNotFoundError as err:
        raise UnstableError(NOT_MADE) from err
    changes = changes_to(
        target, os.fstat(target), wanted.xattrs, tree(attempt.target).preserved
    )
    attempt.check_cancelled()
    lost = set_metadata(target, wanted, changes, tree(attempt.target).preserved)
    return Outcome(
        Status.UPDATED,
        verified=Verified.METADATA,
        lost=lost,
        made=mark_of(target, lost, tree(attempt.target).preserved)
        if tree(attempt.target).preserved.times
        else None,
        entry=entry_of(action.path, found),
    )


def _looked_at(attempt: Attempt, path: bytes) -> tuple[os.stat_result, Metadata]:
    """Return what a directory of the source is, and has.

    It is only held: one that may not be read was told as such by its listing.
    """
    try:
        source = pin(tree(attempt.source).descent, path)
    except (FileNotFoundError, NotADirectoryError) as err:
        raise VanishedError("is gone since it was listed") from err
    try:
        found = os.fstat(source)
        if not stat.S_ISDIR(found.st_mode):
            raise VanishedError("is gone since it was listed")
        return found, metadata_of(
            source, found, tree(attempt.target).preserved, pinned=True
        )
    finally:
        os.close(source)
