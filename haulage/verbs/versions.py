"""Says what of a source is recorded, and whether it is to be looked at again."""

from haulage.model import Action, Entry, Outcome, Status
from haulage.storage.store import Made, Now, Seen
from haulage.storage.tree.filesystem.clock import is_racy
from haulage.storage.tree.metadata.xattrs import joined
from haulage.storage.versions import is_as_listed

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


def unless_listed(action: Action, entry: Entry) -> Entry | None:
    """Return a source's entry, or None for a tree's that is just as it was listed.

    Of an object more is known now than its listing told.
    """
    return None if entry.etag is None and is_as_listed(action, entry) else entry


def outcome_of_made(action: Action, seen: Seen, made: Made) -> Outcome:
    """Return the outcome of an entry without content that was made of `seen`."""
    return Outcome(
        Status.MADE,
        lost=joined(made.lost, seen.unkept),
        made=made.etag,
        entry=unless_listed(action, seen.entry),
    )
