"""Gives a file of the target another name, as it has one at the source."""

import errno
import os
import stat

from haulage.errors import BlockedError, UnstableError, VanishedError
from haulage.model import (
    Action,
    Loss,
    Lost,
    Outcome,
    Status,
    Verified,
    parent_of,
    shown,
)
from haulage.ops.transfer import copy
from haulage.ops.work import Work
from haulage.storage.tree.posix import reach, remove_if_there, rename_over, stat_in
from haulage.storage.tree.xattrs import joined

_NO_LINK = frozenset({errno.EMLINK, errno.EPERM, errno.EXDEV, errno.EOPNOTSUPP})


def hard(work: Work, action: Action, row: int) -> Outcome:
    """Make an entry a hard link to its leader, the action's target.

    Where the file system has no more links it becomes a file of its own.
    """
    if action.target is None:
        raise BlockedError(
            f"another name of inode {action.ino} of device {action.dev} at the source "
            f"could not be made, and this one would be a link to it"
        )
    _check_source(work, action, action.target)
    leader = _leader_in_target(work, action, action.target)
    temp = work.temp_prefix + b"%d" % row
    above = parent_of(action.path)
    dir_fd = os.dup(reach(work.target, above, temp))  # the leader's may close it
    try:
        name = action.path[len(above) :]
        if _is_same(_found(dir_fd, name), leader):
            return _linked(action, Status.UNCHANGED)
        _link(work, action.target, dir_fd, temp, leader)
        work.check_cancelled()
        rename_over(dir_fd, temp, name)
    except OSError as err:
        if err.errno not in _NO_LINK:
            raise
        return _copied(work, action, row, err)
    finally:
        remove_if_there(
            dir_fd, temp
        )  # between two links of a file, rename does nothing
        os.close(dir_fd)
    return _linked(action, Status.MADE)


def _check_source(work: Work, action: Action, leader: bytes) -> None:
    """Raise unless both are one file at the source still."""
    mine = stat_in(work.source, action.path)
    if mine is None:
        raise VanishedError("is gone since it was listed")
    if mine.st_ino != action.ino or not _is_same(stat_in(work.source, leader), mine):
        raise UnstableError(f"is no longer the same file as {shown(leader)}")


def _leader_in_target(work: Work, action: Action, leader: bytes) -> os.stat_result:
    """Return what stands at the leader's name, if that is what was made."""
    found = stat_in(work.target, leader)
    mtime_ns = action.mtime_at_target_ns(action.mtime_since_epoch_ns)
    made = (action.size, mtime_ns)
    is_file = found is not None and stat.S_ISREG(found.st_mode)
    if found is None or not is_file or (found.st_size, found.st_mtime_ns) != made:
        raise UnstableError(
            f"the target's {shown(leader)}, which it would be a link to, is not what "
            f"was made"
        )
    return found


def _found(dir_fd: int, name: bytes) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _is_same(one: os.stat_result | None, other: os.stat_result) -> bool:
    return one is not None and os.path.samestat(one, other)


def _link(
    work: Work, leader: bytes, dir_fd: int, temp: bytes, made: os.stat_result
) -> None:
    """Link what was looked at, and nothing that has taken its name since."""
    above = parent_of(leader)
    os.link(
        leader[len(above) :],
        temp,
        src_dir_fd=work.target.open(above),
        dst_dir_fd=dir_fd,
        follow_symlinks=False,
    )
    if not _is_same(_found(dir_fd, temp), made):
        raise UnstableError(f"the target's {shown(leader)} was replaced meanwhile")


def _linked(action: Action, status: Status) -> Outcome:
    """Return the outcome of a link, which is proven as far as its leader is."""
    return Outcome(
        status,
        action.checksum,
        Verified(action.verified),
        action.racy,
        entry=action.entry._replace(target=None),
        made=action.made,
    )


def _copied(work: Work, action: Action, row: int, err: OSError) -> Outcome:
    """Copy what can not be a link, and tell that it is none."""
    why = os.strerror(err.errno or 0)
    words = f"hard link to {shown(action.target or b'')} not kept: {why}"
    outcome = copy(work, action, row)
    entry = outcome.entry or action.entry
    lost = joined(Lost(Loss.LINK, words), outcome.lost)
    alone = entry._replace(target=None, nlink=1)  # so that no proof holds it to others
    return outcome._replace(entry=alone, lost=lost)
