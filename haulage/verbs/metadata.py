"""Gives an entry of the target what is kept of its source, content apart."""

import os
from typing import NamedTuple

from haulage.model import Lost
from haulage.storage.tree.metadata.attributes import (
    Attributes,
    as_kept,
    attributes_of,
    set_attributes,
)
from haulage.storage.tree.metadata.flags import lost_flags
from haulage.storage.tree.metadata.xattrs import (
    Extras,
    Handle,
    Xattrs,
    joined,
    read_xattrs,
)
from haulage.verbs.attempt import Work


class Wanted(NamedTuple):
    """All that a source's entry has; what of it can not be kept is told already."""

    attributes: Attributes
    xattrs: Xattrs
    lost: Lost | None


def wanted_of(
    work: Work, fd: int, found: os.stat_result, *, pinned: bool = False
) -> Wanted:
    """Return what the source's entry in `fd` has, which may only be pinned."""
    handle: Handle = b"/proc/self/fd/%d" % fd if pinned else fd
    return Wanted(
        attributes_of(found),
        read_xattrs(handle, found.st_dev, work.kept),
        lost_flags(fd, found.st_dev, work.kept),
    )


def dress(work: Work, handle: Handle, wanted: Wanted, extras: Extras) -> Lost | None:
    """Set what is kept on an entry of the target; return what was lost."""
    attributes = wanted.attributes
    if not work.kept.all_of_stat:
        there = attributes_of(os.stat(handle))
        attributes = as_kept(attributes, there, work.kept)
    lost = set_attributes(handle, attributes, extras, work.kept)
    return joined(lost, wanted.lost)
