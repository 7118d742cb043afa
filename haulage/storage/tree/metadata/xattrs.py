"""Extended attributes and POSIX ACLs, which the kernel exposes as attributes too.

A handle is a descriptor, or a path: `/proc/self/fd/N` for what is only pinned, and
`/proc/self/fd/N/NAME` with `follow` off for a symbolic link.
"""

import errno
import os
from collections.abc import Mapping
from typing import NamedTuple

from haulage.model import Loss, Lost
from haulage.storage.tree.metadata.preserve import Preserved

Handle = int | bytes
Xattrs = Mapping[str, bytes]

ACCESS_ACL = "system.posix_acl_access"
DEFAULT_ACL = "system.posix_acl_default"
_CAPABILITY = "security.capability"
_ACLS = frozenset({ACCESS_ACL, DEFAULT_ACL})
_TAKEN = ("user.", "security.", "trusted.")
# What a file system keeps of its own layout, shows a second time, or binds to an inode.
_NEVER = (
    "trusted.lov", "trusted.lma", "trusted.lmv", "trusted.link", "trusted.fid",
    "trusted.dmv", "trusted.hsm", "trusted.som", "trusted.version", "trusted.projid",
    "trusted.SGI_", "trusted.afr.", "trusted.gfid", "trusted.glusterfs.",
    "security.evm",
)  # fmt: skip
_NOT_REMOVED = frozenset({"security.selinux", "security.SMACK64"})  # labels are made
_NO_ROOM_OR_NO_RIGHT = frozenset(
    {
        errno.ENOSPC,
        errno.EDQUOT,
        errno.E2BIG,
        errno.ENOTSUP,
        errno.EPERM,
        errno.EACCES,
        errno.ERANGE,
        errno.EINVAL,
    }
)


class XattrChanges(NamedTuple):
    """What an entry's attributes shall be: some are set, some removed.

    Where they are there already they are set all the same: a chown drops some.
    """

    wanted: Xattrs
    stale: tuple[str, ...] = ()
    are_there: bool = False


NO_CHANGES = XattrChanges({}, are_there=True)


def read_xattrs(
    handle: Handle, device: int, preserved: Preserved, *, follow: bool = True
) -> Xattrs:
    """Return the attributes of an entry that are preserved."""
    names = _names(handle, device, preserved, follow=follow)
    if not names:
        return NO_CHANGES.wanted
    found = {}
    for name in names:
        if not _is_kept(name, preserved):
            continue
        try:
            found[name] = os.getxattr(handle, name, follow_symlinks=follow)
        except OSError as err:
            if err.errno != errno.ENODATA:  # removed since it was listed
                raise
    return found


def _is_kept(name: str, preserved: Preserved) -> bool:
    if name in _ACLS:
        return preserved.acls
    return preserved.xattrs and name.startswith(_TAKEN) and not name.startswith(_NEVER)


def _names(
    handle: Handle, device: int, preserved: Preserved, *, follow: bool
) -> list[str]:
    if device in preserved.silent or not (preserved.xattrs or preserved.acls):
        return []
    try:
        return os.listxattr(handle, follow_symlinks=follow)
    except OSError as err:
        if err.errno != errno.ENOTSUP:
            raise
        preserved.silent.add(device)
        return []


def unkept(
    handle: Handle, device: int, preserved: Preserved, *, follow: bool = True
) -> Lost | None:
    """Return the attributes of an entry that no object of a bucket can hold."""
    lost: Lost | None = None
    for name in _names(handle, device, preserved, follow=follow):
        if not _is_kept(name, preserved):
            continue
        words = f"{_shown(name)} not kept: objects have no room for it"
        lost = joined(lost, Lost(_loss_of(name), words))
    return lost


def stale_names(has: Xattrs, wanted: Xattrs) -> tuple[str, ...]:
    """Return the names to remove so that only wanted ones stay."""
    return tuple(has.keys() - wanted.keys() - _NOT_REMOVED)


def set_plain(
    handle: Handle, changes: XattrChanges, *, follow: bool = True, owned: bool = True
) -> Lost | None:
    """Remove stale attributes and set all but ACLs; call it before setting the mode.

    A file that is not `owned` as at the source gets no capability, as it gets no set-id
    bit. What the file system cannot hold, or this user may not set, is lost.
    """
    lost: Lost | None = None
    for name in changes.stale:
        lost = joined(lost, _remove(handle, name, follow=follow))
    for name, value in changes.wanted.items():
        if name == _CAPABILITY and not owned:
            lost = joined(lost, Lost(Loss.CAPABILITY, "capability not kept"))
        elif name not in _ACLS:
            lost = joined(lost, _set(handle, name, value, follow=follow))
    return lost


def set_acls(handle: Handle, changes: XattrChanges) -> Lost | None:
    """Set ACLs; call it after setting the mode, which would change their mask."""
    lost: Lost | None = None
    for name in sorted(_ACLS & changes.wanted.keys()):
        lost = joined(lost, _set(handle, name, changes.wanted[name], follow=True))
    return lost


def _set(handle: Handle, name: str, value: bytes, *, follow: bool) -> Lost | None:
    try:
        os.setxattr(handle, name, value, follow_symlinks=follow)
    except OSError as err:
        if err.errno not in _NO_ROOM_OR_NO_RIGHT:
            raise
        why = os.strerror(err.errno)
        return Lost(_loss_of(name), f"{_shown(name)} not kept: {why}")
    return None


def _remove(handle: Handle, name: str, *, follow: bool) -> Lost | None:
    try:
        os.removexattr(handle, name, follow_symlinks=follow)
    except OSError as err:
        if err.errno == errno.ENODATA:
            return None
        if err.errno not in _NO_ROOM_OR_NO_RIGHT:
            raise
        why = os.strerror(err.errno)
        return Lost(_loss_of(name), f"{_shown(name)} not removed: {why}")
    return None


def _loss_of(name: str) -> Loss:
    if name in _ACLS:
        return Loss.ACL
    return Loss.CAPABILITY if name == _CAPABILITY else Loss.XATTR


def _shown(name: str) -> str:
    if name in _ACLS:
        return "ACL" if name == ACCESS_ACL else "default ACL"
    return f"attribute {name!a}"


_MOST_WORDS = 500


def joined(first: Lost | None, second: Lost | None) -> Lost | None:
    """Return both losses as one, in readable words."""
    if first is None or second is None:
        return first or second
    words = first.words
    if len(words) < _MOST_WORDS:
        words = f"{words}; {second.words}"
    return Lost(first.kinds | second.kinds, words)
