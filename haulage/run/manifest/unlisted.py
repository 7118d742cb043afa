"""Turn what could not be listed of a source into failures."""

import errno
import os

from haulage.catalog.failures import Failure
from haulage.storage.tree.listing.walk import Unreadable

# What was a directory when its parent was listed is a file or a link by now.
_UNSTABLE = (errno.ENOTDIR, errno.ELOOP)


def failure_of(lost: Unreadable) -> Failure | None:
    """Return the failure; None for an entry removed since its parent was listed."""
    if lost.reason:
        return Failure(
            lost.path, "list", "refused", "permanent", lost.errno, lost.reason
        )
    if lost.errno == errno.ENOENT:
        return None
    reason = f"could not be listed: {os.strerror(lost.errno)}"
    if lost.errno in _UNSTABLE:
        return Failure(lost.path, "list", "unstable", "transient", lost.errno, reason)
    return Failure(lost.path, "list", "unreadable", "permanent", lost.errno, reason)
