"""Move deleted entries into the trash, inside the same root.

Below the root's `.haulage-trash/` each run has a directory, named after it and so after
its date, in which entries keep their paths. Nothing here goes through a symbolic link.
"""

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress

from haulage.errors import PermanentError
from haulage.model import Action, Outcome, Status
from haulage.paths import parent_of
from haulage.storage.tree.descent import Descent
from haulage.storage.tree.files import (
    open_for_owner,
    open_to_write,
    stat_in,
    temp_name,
)
from haulage.storage.tree.listing.names import names_in
from haulage.storage.tree.metadata.attributes import (
    Attributes,
    attributes_of,
    name_of,
    set_attributes,
)
from haulage.storage.tree.metadata.preserve import PRESERVE_ALL
from haulage.storage.tree.metadata.xattrs import XattrChanges, read_xattrs, stale_names
from haulage.storage.tree.ours import TRASH

_OF_A_RUN = re.compile(r"(\d{8}T\d{6}-[a-z2-7]{6})/")
_NOT_THERE = frozenset({errno.ENOTDIR, errno.ELOOP})


def trash_of(run_id: str) -> bytes:
    """Return the path of a run's trash."""
    return TRASH + run_id.encode() + b"/"


def runs_in(root: str) -> Iterator[str]:
    """Yield the runs that have a trash in `root`."""
    descent = Descent(root)
    try:
        for names in names_in(descent.open(TRASH)):
            found = (_OF_A_RUN.fullmatch(os.fsdecode(name)) for name in names)
            yield from (match[1] for match in found if match)
    except OSError as err:
        if err.errno not in (errno.ENOENT, *_NOT_THERE):
            raise
    finally:
        descent.close()


def is_aside(descent: Descent, path: bytes, trash: bytes) -> bool:
    """Tell whether an entry is in the trash: an attempt may end before it says so."""
    return stat_in(descent, trash + path) is not None


def check_is_ours(descent: Descent, trash: bytes) -> None:
    """Raise PermanentError if another user may have made up a trash's content.

    The owner of the target's root may rename the trash and put another in its place.
    """
    for path in (TRASH, trash):
        found = stat_in(descent, path)
        if found is not None and not _is_own(descent, found.st_uid):
            raise PermanentError(
                f"{path.decode()} in the target belongs to uid {found.st_uid}, so its "
                "content may not be what was moved there; undo as that user, or move "
                "the entries back by hand"
            )


def _is_own(descent: Descent, uid: int) -> bool:
    """Tell whether `uid` is ours on this file system, which may map users."""
    if uid == os.geteuid():
        return True
    probe = temp_name("owner", os.getpid())
    try:
        os.mkdir(probe, 0o700, dir_fd=descent.root_fd)
    except OSError:
        return False
    try:
        made = os.stat(probe, dir_fd=descent.root_fd, follow_symlinks=False)
        return made.st_uid == uid
    finally:
        os.rmdir(probe, dir_fd=descent.root_fd)


def move_aside(descent: Descent, path: bytes, trash: bytes) -> Outcome:
    """Move a file or link into the trash, to the same path."""
    above = parent_of(path)
    name = path[len(above) :]
    aside = _reach_aside(descent, trash + above)
    try:
        dir_fd = open_to_write(descent, above)
        os.rename(name, name, src_dir_fd=dir_fd, dst_dir_fd=aside)
    except OSError as err:
        if err.errno == errno.EXDEV:
            words = "is on another file system than the trash"
            return Outcome(Status.KEPT, reason=words)
        raise
    finally:
        os.close(aside)
    return Outcome(Status.DELETED)


def note_dir(
    descent: Descent, action: Action, found: os.stat_result, trash: bytes
) -> None:
    """Give a directory's counterpart in the trash its attributes, before removal."""
    above = parent_of(action.path)
    place = name_of(descent.open(above), action.path[len(above) : -1])
    wanted = read_xattrs(place, found.st_dev, PRESERVE_ALL, follow=False)
    attributes = _as_made(action, attributes_of(found), is_root=descent.is_root)
    aside = _reach_aside(descent, trash + action.path)
    try:
        has = read_xattrs(aside, os.fstat(aside).st_dev, PRESERVE_ALL)
        set_attributes(
            aside, attributes, XattrChanges(wanted, stale_names(has, wanted))
        )
    finally:
        os.close(aside)


def _as_made(action: Action, now: Attributes, *, is_root: bool) -> Attributes:
    """Return a directory's attributes as they were before it was emptied.

    Emptying changed its mtime and, for an owner who is not root, opened it. Everything
    below it is in the trash already, so its counterpart's mtime changes no more.
    """
    if not action.nlink and action.etag is None:  # no object stands for it
        return now
    mtime_ns = action.mtime_since_epoch_ns
    mode = now.mode
    if not is_root:
        mode = mode & ~stat.S_IRWXU | action.mode & stat.S_IRWXU
    return now._replace(mode=mode, atime_ns=mtime_ns, mtime_ns=mtime_ns)


def _reach_aside(descent: Descent, path: bytes) -> int:
    try:
        return reach(descent, path)
    except OSError as err:
        if err.errno in _NOT_THERE:
            raise PermanentError(
                f"cannot be moved aside: {TRASH.decode()} in the target is not a "
                "directory; move it away"
            ) from err
        raise


def reach(descent: Descent, path: bytes, *, make: bool = True) -> int:
    """Return a new descriptor of a directory, created if missing.

    A new one is for its owner alone. No entry in the way is replaced.
    """
    try:
        return os.dup(open_to_write(descent, path))
    except (FileNotFoundError, PermissionError):
        pass
    at = path.find(b"/")
    while at >= 0:  # from the top, so that no depth is too much
        _open_step(descent, path[: at + 1], make=make)
        at = path.find(b"/", at + 1)
    return os.dup(open_to_write(descent, path))


def _open_step(descent: Descent, path: bytes, *, make: bool) -> None:
    try:
        descent.open(path)
    except FileNotFoundError:
        if not make:
            raise
        above = parent_of(path)
        with suppress(FileExistsError):
            dir_fd = open_to_write(descent, above)
            os.mkdir(path[len(above) : -1], 0o700, dir_fd=dir_fd)
    except PermissionError:
        found = stat_in(descent, path)
        if found is not None and stat.S_ISDIR(found.st_mode):
            open_for_owner(descent, path, found)
