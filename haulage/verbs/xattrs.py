"""Which extended attributes and ACLs an entry of the target is to get and to lose."""

import os

from haulage.model import Action
from haulage.paths import parent_of
from haulage.storage.tree.metadata.attributes import name_of
from haulage.storage.tree.metadata.xattrs import (
    ACCESS_ACL,
    DEFAULT_ACL,
    NO_EXTRAS,
    Extras,
    Handle,
    Xattrs,
    read_xattrs,
    stale_names,
)
from haulage.verbs.attempt import Work


def for_new(work: Work, wanted: Xattrs, above: bytes, dir_fd: int) -> Extras:
    """Return what a temporary in directory `above` needs, which may inherit an ACL."""
    if work.heirs_in != above:
        work.heirs_in = above
        device = os.fstat(dir_fd).st_dev
        work.heirs = DEFAULT_ACL in read_xattrs(dir_fd, device, work.kept)
    if work.heirs and ACCESS_ACL not in wanted:
        return Extras(wanted, (ACCESS_ACL,))
    return Extras(wanted) if wanted else NO_EXTRAS


def for_old(
    work: Work, wanted: Xattrs, handle: Handle, found: os.stat_result
) -> Extras:
    """Return what makes the attributes of a target's entry the wanted ones."""
    has = read_xattrs(handle, found.st_dev, work.kept)
    if not has and not wanted:
        return NO_EXTRAS
    return Extras(wanted, stale_names(has, wanted), has == wanted)


def for_link(work: Work, action: Action) -> Extras:
    """Return what a symbolic link needs; only root can give one attributes."""
    if not work.target.is_root:
        return NO_EXTRAS
    above = parent_of(action.path)
    try:
        place = name_of(work.source.open(above), action.path[len(above) :])
        wanted = read_xattrs(place, action.dev, work.kept, follow=False)
    except (FileNotFoundError, NotADirectoryError):  # it is made as it was listed
        return NO_EXTRAS
    return Extras(wanted) if wanted else NO_EXTRAS
