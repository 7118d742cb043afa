"""Give an entry of a tree another name: a hard link or nothing."""

import errno
import os
from collections.abc import Callable
from typing import NamedTuple

from haulage.errors import UnstableError
from haulage.model import Action, Kind
from haulage.paths import parent_of, shown
from haulage.storage.tree.descent import Descent
from haulage.storage.tree.files import (
    kind_of,
    reach,
    remove_if_there,
    rename_over,
    stat_in,
)

# What a file system says that has no more links here.
NO_LINK = frozenset({errno.EMLINK, errno.EPERM, errno.EXDEV, errno.EOPNOTSUPP})


class Leader(NamedTuple):
    """The name to which others are linked, and what was made there."""

    path: bytes
    kind: int
    size: int
    mtime_ns: int


def leader_of(action: Action) -> Leader:
    """Return the leader that a link's action names, as it was made."""
    assert action.leader is not None
    mtime_ns = action.mtime_at_target_ns(action.mtime_since_epoch_ns)
    return Leader(action.leader, action.kind, action.size, mtime_ns)


def link_to(
    descent: Descent,
    leader: Leader,
    path: bytes,
    temp: bytes,
    check: Callable[[], None],
) -> bool:
    """Make `path` a hard link to its leader; False if it already was one.

    `check` raises when nothing may be replaced any more. UnstableError if the leader is
    not what was made; OSError with one of NO_LINK if the file system refuses.
    """
    made = _made_at(descent, leader)
    above = parent_of(path)
    dir_fd = os.dup(reach(descent, above, temp))  # the leader's may close it
    try:
        name = path[len(above) :]
        if is_same(_found(dir_fd, name), made):
            return False
        _link(descent, leader.path, dir_fd, temp, made)
        check()
        rename_over(dir_fd, temp, name)
    finally:
        remove_if_there(
            dir_fd, temp
        )  # between two links of a file, rename does nothing
        os.close(dir_fd)
    return True


def _made_at(descent: Descent, leader: Leader) -> os.stat_result:
    """Return the leader's entry, if it is what was made."""
    found = stat_in(descent, leader.path)
    if found is None or not _is(found, leader):
        raise UnstableError(
            f"the target's {shown(leader.path)}, to which it would be linked, is not "
            "the file that was made"
        )
    return found


def _is(found: os.stat_result, leader: Leader) -> bool:
    if leader.kind == Kind.FILE and found.st_size != leader.size:
        return False
    has = (kind_of(found.st_mode), found.st_mtime_ns)
    return has == (leader.kind, leader.mtime_ns)


def is_same(one: os.stat_result | None, other: os.stat_result) -> bool:
    """Tell whether two names exist and are one file."""
    return one is not None and os.path.samestat(one, other)


def _found(dir_fd: int, name: bytes) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _link(
    descent: Descent, leader: bytes, dir_fd: int, temp: bytes, made: os.stat_result
) -> None:
    """Link the entry that was checked, and nothing that has taken its name since."""
    above = parent_of(leader)
    os.link(
        leader[len(above) :],
        temp,
        src_dir_fd=descent.open(above),
        dst_dir_fd=dir_fd,
        follow_symlinks=False,
    )
    if not is_same(_found(dir_fd, temp), made):
        raise UnstableError(f"the target's {shown(leader)} was replaced meanwhile")
