"""The metadata of an entry: read at the source, set on the target."""

import os
from typing import NamedTuple

from haulage.model import Lost
from haulage.storage.store import Seen
from haulage.storage.tree.metadata.attributes import (
    Attributes,
    as_preserved,
    attributes_in,
    attributes_of,
    set_attributes,
)
from haulage.storage.tree.metadata.flags import lost_flags
from haulage.storage.tree.metadata.preserve import Preserved
from haulage.storage.tree.metadata.xattrs import (
    ACCESS_ACL,
    DEFAULT_ACL,
    NO_CHANGES,
    Handle,
    XattrChanges,
    Xattrs,
    joined,
    read_xattrs,
    stale_names,
)


class Metadata(NamedTuple):
    """The metadata of a source's entry; `lost` is what no target can have of it."""

    attributes: Attributes
    xattrs: Xattrs
    lost: Lost | None


def metadata_of(
    fd: int, found: os.stat_result, preserved: Preserved, *, pinned: bool = False
) -> Metadata:
    """Return the metadata of the source's entry in `fd`, which may only be pinned."""
    handle: Handle = b"/proc/self/fd/%d" % fd if pinned else fd
    return Metadata(
        attributes_of(found),
        read_xattrs(handle, found.st_dev, preserved),
        lost_flags(fd, found.st_dev, preserved),
    )


def metadata_in(seen: Seen) -> Metadata:
    """Return what was seen of an entry; without an atime that is its mtime."""
    attributes = attributes_in(seen.entry)
    if seen.extended is None:
        return Metadata(attributes, NO_CHANGES.wanted, None)
    atime_ns, xattrs = seen.extended
    return Metadata(attributes._replace(atime_ns=atime_ns), xattrs, None)


def set_metadata(
    handle: Handle, wanted: Metadata, changes: XattrChanges, preserved: Preserved
) -> Lost | None:
    """Set what is preserved on an entry of the target; return what was lost."""
    attributes = wanted.attributes
    if not preserved.all_of_stat:
        there = attributes_of(os.stat(handle))
        attributes = as_preserved(attributes, there, preserved)
    lost = set_attributes(handle, attributes, changes, preserved)
    return joined(lost, wanted.lost)


def changes_to(
    handle: Handle, found: os.stat_result, seen: Seen, preserved: Preserved
) -> XattrChanges:
    """Return what makes the attributes of a target's entry those that were seen."""
    if seen.extended is None:
        return NO_CHANGES
    has, wanted = read_xattrs(handle, found.st_dev, preserved), seen.extended.xattrs
    if not has and not wanted:
        return NO_CHANGES
    return XattrChanges(wanted, stale_names(has, wanted), has == wanted)


class Inheritance:
    """Whether new entries of the last directory asked about inherit an ACL."""

    def __init__(self, preserved: Preserved) -> None:
        """Start with no directory."""
        self._preserved = preserved
        self._above: bytes | None = None
        self._inherits = False

    def changes_to_new(self, above: bytes, dir_fd: int, wanted: Xattrs) -> XattrChanges:
        """Return the changes that a temporary in directory `above` needs."""
        if self._above != above:
            self._above = above
            device = os.fstat(dir_fd).st_dev
            has = read_xattrs(dir_fd, device, self._preserved)
            self._inherits = DEFAULT_ACL in has
        if self._inherits and ACCESS_ACL not in wanted:
            return XattrChanges(wanted, (ACCESS_ACL,))
        return XattrChanges(wanted) if wanted else NO_CHANGES
