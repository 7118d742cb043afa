"""Tells versions of a source apart: as listed, and as it is now."""

from haulage.model import Action, Entry


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
