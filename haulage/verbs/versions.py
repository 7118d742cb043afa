"""Tells versions of a source apart: as listed, as it is now, and as recorded."""

from haulage.model import Action, Entry
from haulage.storage.store import Now
from haulage.verbs.attempt import is_racy

NOT_MADE = (
    "is not a directory in the target: it was none in the source when that was "
    "copied, or somebody removed it; the next run makes it"
)


def as_recorded(action: Action, entry: Entry) -> Entry:
    """Return what the manifest keeps: an object's time of change is the listing's.

    Listings tell it finer than headers do, and the next night compares listings.
    """
    if entry.etag is None or entry.etag != action.etag:
        return entry
    return entry._replace(ctime_s=action.ctime_s, ctime_ns=action.ctime_ns)


def is_racy_entry(entry: Entry, now: Now) -> bool:
    """Tell whether an entry is to be looked at again, even if nothing changes.

    A changed object has another etag, however young it is. One of a file's names is
    looked at until a run has brought it together with the others.
    """
    if entry.etag is not None:
        return entry.nlink > 1
    mtime_ns = entry.mtime_s * 1_000_000_000 + entry.mtime_ns
    ctime_ns = entry.ctime_s * 1_000_000_000 + entry.ctime_ns
    return is_racy(mtime_ns, ctime_ns, now)


def is_version(action: Action, entry: Entry) -> bool:
    """Tell whether the source's content is still the listed one."""
    if entry.size != action.size:
        return False
    if entry.etag is not None:
        return entry.etag == action.etag
    return (entry.mtime_s, entry.mtime_ns, entry.ino) == (
        action.mtime_s,
        action.mtime_ns,
        action.ino,
    )


def is_as_listed(action: Action, entry: Entry) -> bool:
    """Tell whether the source is the listed one in all; ctime moves with any change."""
    if not is_version(action, entry) or entry.kind != action.kind:
        return False
    listed = (action.ctime_s, action.ctime_ns)
    return entry.etag is not None or (entry.ctime_s, entry.ctime_ns) == listed
