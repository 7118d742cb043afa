"""Remove an entry of a directory tree, if it is still the one that we made."""

import errno
import os
import stat

from haulage.model import Action, Kind, Outcome, Status
from haulage.paths import parent_of
from haulage.storage.tree.descent import Descent
from haulage.storage.tree.files import kind_of, open_to_write
from haulage.storage.tree.trash.move import is_aside, move_aside, note_dir

_HAS_CONTENT = frozenset({errno.ENOTEMPTY, errno.EEXIST})


def remove_ours(
    descent: Descent,
    action: Action,
    found: os.stat_result,
    trash: bytes | None = None,
) -> Outcome:
    """Remove the entry that `found` describes; keep it if it changed since we made it.

    An entry found only by another spelling of the name is another entry. A directory is
    removed only when it is empty. With a `trash` the entry is moved there.
    """
    if descent.spelling and descent.spelling.is_another(action.path, found):
        return Outcome(Status.ABSENT)
    changed = _what_changed(action, found)
    if changed:
        return Outcome(Status.KEPT, reason=f"{changed} since we made it")
    try:
        if trash is not None and action.kind != Kind.DIR:
            return move_aside(descent, action.path, trash)
        if trash is not None:
            note_dir(descent, action, found, trash)
        return _remove(descent, action)
    except FileNotFoundError:  # another mover of the shard was faster
        return gone_already(descent, action.path, trash)


def gone_already(descent: Descent, path: bytes, trash: bytes | None) -> Outcome:
    """Return the outcome for a missing entry, which this run may have moved before."""
    if trash is not None and is_aside(descent, path, trash):
        return Outcome(Status.DELETED)
    return Outcome(Status.ABSENT)


def _what_changed(action: Action, found: os.stat_result) -> str | None:
    """Return how the target's entry differs from the one that we made, or None."""
    if kind_of(found.st_mode) != action.kind:
        return "its type changed"
    if stat.S_ISDIR(found.st_mode):
        return None
    if found.st_mtime_ns != action.mtime_at_target_ns(action.mtime_since_epoch_ns):
        return "its mtime changed"
    if action.kind == Kind.FILE and found.st_size != action.size:
        return "its size changed"
    return None


def _remove(descent: Descent, action: Action) -> Outcome:
    above = parent_of(action.path)
    name = action.path[len(above) :].rstrip(b"/")
    dir_fd = open_to_write(descent, above)
    if action.kind != Kind.DIR:
        os.unlink(name, dir_fd=dir_fd)
        return Outcome(Status.DELETED)
    descent.forget(action.path)
    try:
        os.rmdir(name, dir_fd=dir_fd)
    except OSError as err:
        if err.errno in _HAS_CONTENT:
            return Outcome(Status.KEPT, reason="has content that we did not make")
        raise
    return Outcome(Status.DELETED)
