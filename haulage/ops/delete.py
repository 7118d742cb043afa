"""Removes what we made and the source no longer has, if every guard agrees."""

import errno
import os
import stat

from haulage.errors import FatalError
from haulage.model import Action, Kind, Outcome, Status, parent_of
from haulage.ops.work import Work
from haulage.storage.posix import kind_of, open_to_write, stat_in

_HAS_CONTENT = frozenset({errno.ENOTEMPTY, errno.EEXIST})


def check_source_has_entries(work: Work) -> None:
    """Raise FatalError for an empty source: one not mounted looks the same."""
    with os.scandir(work.source.root_fd) as entries:
        if next(entries, None) is None:
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
        return Outcome(Status.ABSENT)
    if there is not None and kind_of(there.st_mode) == kind_of(found.st_mode):
        return Outcome(Status.ABSENT)  # already replaced by what the source has now
    changed = _what_changed(action, found)
    if changed:
        return Outcome(Status.KEPT, reason=f"{changed} since we made it")
    return _remove(work, action)


def _what_changed(action: Action, found: os.stat_result) -> str | None:
    """Say what makes the target's entry another than the one that we made."""
    if kind_of(found.st_mode) != action.kind:
        return "its type changed"
    if stat.S_ISDIR(found.st_mode):
        return None
    if found.st_mtime_ns != action.mtime_since_epoch_ns:
        return "its mtime changed"
    if action.kind == Kind.FILE and found.st_size != action.size:
        return "its size changed"
    return None


def _remove(work: Work, action: Action) -> Outcome:
    above = parent_of(action.path)
    name = action.path[len(above) :].rstrip(b"/")
    dir_fd = open_to_write(work.target, above)
    if action.kind != Kind.DIR:
        os.unlink(name, dir_fd=dir_fd)
        return Outcome(Status.DELETED)
    work.target.forget(action.path)
    try:
        os.rmdir(name, dir_fd=dir_fd)
    except OSError as err:
        if err.errno in _HAS_CONTENT:
            return Outcome(Status.KEPT, reason="has content that we did not make")
        raise
    return Outcome(Status.DELETED)
