"""Attributes, set after an entry's content in an order that undoes nothing.

A chown drops capabilities and set-id bits, a chmod changes the mask of an ACL, and a
file whose mode forbids writing takes no attributes from its owner.
"""

import os
import stat
from typing import NamedTuple

from haulage.model import Action, Entry, Loss, Lost, mtime_mark
from haulage.storage.tree.metadata.preserve import PRESERVE_ALL, Preserved
from haulage.storage.tree.metadata.xattrs import (
    NO_CHANGES,
    XattrChanges,
    joined,
    set_acls,
    set_plain,
)

_SPECIAL_BITS = stat.S_ISUID | stat.S_ISGID


class Attributes(NamedTuple):
    """The attributes set on an entry after its content; one is made for every file."""

    mode: int
    uid: int
    gid: int
    atime_ns: int
    mtime_ns: int


def attributes_of(found: os.stat_result) -> Attributes:
    """Return the attributes that `found` carries."""
    mode = stat.S_IMODE(found.st_mode)
    return Attributes(
        mode, found.st_uid, found.st_gid, found.st_atime_ns, found.st_mtime_ns
    )


def as_preserved(
    source: Attributes, there: Attributes, preserved: Preserved
) -> Attributes:
    """Return an entry's new attributes: others than preserved ones stay as `there`.

    Set-id bits depend on the owner.
    """
    wanted = source
    if not preserved.owner:
        wanted = wanted._replace(uid=there.uid, gid=there.gid)
        if (source.uid, source.gid) != (there.uid, there.gid):
            wanted = wanted._replace(mode=source.mode & ~_SPECIAL_BITS)
    if not preserved.mode:
        wanted = wanted._replace(mode=there.mode)
    if not preserved.times:
        wanted = wanted._replace(atime_ns=there.atime_ns, mtime_ns=there.mtime_ns)
    return wanted


def made_of(action: Action, found: Entry, preserved: Preserved) -> Action:
    """Return the action with what the target's entry is to have instead."""
    action = action.with_mtime_at_target()
    wanted = attributes_in(action.entry)
    wanted = as_preserved(wanted, attributes_in(found), preserved)
    return action._replace(mode=wanted.mode, uid=wanted.uid, gid=wanted.gid)


def set_attributes(
    handle: int | bytes,
    wanted: Attributes,
    changes: XattrChanges = NO_CHANGES,
    preserved: Preserved = PRESERVE_ALL,
) -> Lost | None:
    """Set owner, extended attributes, mode, ACLs and times, in this order.

    `handle` is a descriptor, or its name in /proc. Return None, or what was lost;
    set-id bits depend on the owner.
    """
    lost = _set_owner(handle, wanted.uid, wanted.gid) if preserved.owner else None
    mode = wanted.mode & ~_SPECIAL_BITS if lost else wanted.mode
    if changes is NO_CHANGES:
        lost = joined(lost, set_mode(handle, mode))
    else:
        lost = _set_mode_among(handle, mode, changes, lost)
    return joined(lost, _set_times(handle, wanted)) if preserved.times else lost


def mark_of(
    handle: int | bytes,
    lost: Lost | None,
    preserved: Preserved = PRESERVE_ALL,
    *,
    follow: bool = True,
) -> bytes | None:
    """Return how a later run recognises an entry made here.

    None: by the source's mtime, because the entry has it.
    """
    if preserved.times and not (lost and Loss.TIME in lost.kinds):
        return None
    return mtime_mark(os.stat(handle, follow_symlinks=follow).st_mtime_ns)


def _lost_time(found: os.stat_result, wanted: Attributes) -> Lost | None:
    """Report a time that the kernel changed to what the file system can hold."""
    if found.st_mtime_ns == wanted.mtime_ns:
        return None
    times = (divmod(ns, 1_000_000_000) for ns in (wanted.mtime_ns, found.st_mtime_ns))
    was, now = (f"{seconds}.{below:09}" for seconds, below in times)
    return Lost(Loss.TIME, f"mtime {was} not kept: this file system made it {now}")


def _set_mode_among(
    handle: int | bytes, mode: int, changes: XattrChanges, lost: Lost | None
) -> Lost | None:
    if os.geteuid() != 0:
        set_mode(handle, mode & ~_SPECIAL_BITS | stat.S_IRUSR | stat.S_IWUSR)
    lost = joined(lost, set_plain(handle, changes, owned=lost is None))
    lost = joined(lost, set_mode(handle, mode))
    return joined(lost, set_acls(handle, changes))


def set_mode(handle: int | bytes, mode: int) -> Lost | None:
    """Set the mode; it is lost, where it differs, if another user owns the entry."""
    try:
        os.chmod(handle, mode)
    except PermissionError:
        now = os.stat(handle)
        if _may_be_set(now):
            raise
        if stat.S_IMODE(now.st_mode) == mode:
            return None
        words = f"mode {mode:04o} not kept: uid {now.st_uid} owns it"
        return Lost(Loss.MODE, words)
    return None


def _set_times(handle: int | bytes, wanted: Attributes) -> Lost | None:
    try:
        os.utime(handle, ns=(wanted.atime_ns, wanted.mtime_ns))
    except PermissionError:
        now = os.stat(handle)
        if _may_be_set(now):
            raise
        if now.st_mtime_ns == wanted.mtime_ns:
            return None
        return Lost(Loss.TIME, f"times not kept: uid {now.st_uid} owns it")
    return _lost_time(os.stat(handle), wanted)


def _may_be_set(found: os.stat_result) -> bool:
    """Tell whether this user may set attributes: root, or the owner."""
    return os.geteuid() in (0, found.st_uid)


def _set_owner(handle: int | bytes, uid: int, gid: int) -> Lost | None:
    try:
        os.chown(handle, uid, gid)
    except PermissionError:
        now = os.stat(handle)
        if (now.st_uid, now.st_gid) == (uid, gid):
            return None
        words = f"owner {uid}:{gid} not kept: this user may not give files away"
        return Lost(Loss.OWNER, words)
    return None


def attributes_in(entry: Entry) -> Attributes:
    """Return the attributes of `entry`; its atime is its mtime."""
    mtime_ns = entry.mtime_s * 1_000_000_000 + entry.mtime_ns
    return Attributes(entry.mode, entry.uid, entry.gid, mtime_ns, mtime_ns)


def set_link_attributes(
    dir_fd: int,
    temp: bytes,
    wanted: Attributes,
    changes: XattrChanges = NO_CHANGES,
    preserved: Preserved = PRESERVE_ALL,
) -> Lost | None:
    """Set owner, attributes and times of a symbolic link; return what was lost."""
    lost = _set_link_owner(dir_fd, temp, wanted) if preserved.owner else None
    if changes is not NO_CHANGES:
        lost = joined(lost, set_plain(name_of(dir_fd, temp), changes, follow=False))
    if preserved.times:
        times = (wanted.atime_ns, wanted.mtime_ns)
        os.utime(temp, ns=times, dir_fd=dir_fd, follow_symlinks=False)
        found = os.stat(temp, dir_fd=dir_fd, follow_symlinks=False)
        lost = joined(lost, _lost_time(found, wanted))
    return lost


def _set_link_owner(dir_fd: int, temp: bytes, wanted: Attributes) -> Lost | None:
    try:
        os.chown(temp, wanted.uid, wanted.gid, dir_fd=dir_fd, follow_symlinks=False)
    except PermissionError:
        now = os.stat(temp, dir_fd=dir_fd, follow_symlinks=False)
        if (now.st_uid, now.st_gid) != (wanted.uid, wanted.gid):
            return Lost(Loss.OWNER, f"owner {wanted.uid}:{wanted.gid} not kept")
    return None


def name_of(dir_fd: int, name: bytes) -> bytes:
    """Return a path to an entry of an open directory, wherever that is now."""
    return b"/proc/self/fd/%d/%s" % (dir_fd, name)
