"""Sets attributes alone, on a file of the target that is the one that was made."""

import os
import stat
from collections.abc import Callable

from haulage.model import Action
from haulage.storage.store import Made, Seen
from haulage.storage.tree.metadata.attributes import (
    as_preserved,
    attributes_of,
    mark_of,
)
from haulage.storage.tree.metadata.entries import (
    changes_to,
    metadata_in,
    set_metadata,
)
from haulage.storage.tree.metadata.preserve import Preserved


def set_in_place(
    pinned: int,
    action: Action,
    seen: Seen,
    preserved: Preserved,
    check: Callable[[], None],
) -> Made | None:
    """Give a file the attributes of `seen`; None if it is not as recorded.

    None, too, if names of it belong to another file at the source.
    """
    found = os.fstat(pinned)
    if not _is_as_recorded(action, found):
        return None
    if found.st_nlink > action.shared + action.leaving:
        return None
    handle = b"/proc/self/fd/%d" % pinned
    wanted = metadata_in(seen)
    changes = changes_to(handle, found, seen, preserved)
    has = attributes_of(found)
    wants = as_preserved(wanted.attributes, has, preserved)
    is_set = changes.are_there and has._replace(atime_ns=wants.atime_ns) == wants
    if is_set and (found.st_nlink == 1 or _is_of_one_file(action, seen)):
        return Made(mark_of(handle, None, preserved), changed=False)
    if found.st_nlink > action.shared:
        return None
    check()
    lost = set_metadata(handle, wanted, changes, preserved)
    return Made(mark_of(handle, lost, preserved), lost)


def _is_as_recorded(action: Action, found: os.stat_result) -> bool:
    """Tell whether the target's file is the one that we made."""
    was_ns = action.was_mtime_s * 1_000_000_000 + action.was_mtime_ns
    recorded = (action.size, action.mtime_at_target_ns(was_ns))
    return stat.S_ISREG(found.st_mode) and recorded == (
        found.st_size,
        found.st_mtime_ns,
    )


def _is_of_one_file(action: Action, seen: Seen) -> bool:
    """Tell whether a name belongs to the file at the source that it belonged to.

    Of a tree's names `shared` and `leaving` have told that.
    """
    if seen.extended is not None:
        return True
    return (action.dev, action.ino) == (seen.entry.dev, seen.entry.ino)
