"""Makes the target's entry what the source's is: content, attributes, then the name."""

from haulage.errors import UnstableError
from haulage.model import Action, Kind, Outcome, Status, Verified
from haulage.storage.store import Made, Seen, Within
from haulage.storage.tree.metadata.xattrs import joined
from haulage.verbs.attempt.attempt import Attempt, is_large, whole_bytes
from haulage.verbs.send import send
from haulage.verbs.versions import as_recorded, is_racy_entry, unless_listed

_TRIES = 3  # to open an entry that grows


def copy(attempt: Attempt, action: Action, row: int) -> Outcome:
    """Copy one entry: by the server or the kernel, as a whole, or in ranges."""
    within = attempt.target.copy_within(attempt.source, action, row)
    if within is not None:
        return _copied_within(attempt, action, within)
    now = attempt.source.now(action.path)
    size, etag = action.size, action.etag
    for _ in range(_TRIES):
        with attempt.opened(attempt.source, action.path, size, etag) as reading:
            entry = reading.seen.entry
            if _has_room_for(size, entry.size):
                made = send(attempt, action.path, row, reading)
                outcome = copied(action, reading.seen, made, moved=entry.size)
                return outcome._replace(racy=is_racy_entry(entry, now))
        size, etag = entry.size, entry.etag
    raise UnstableError("grew whenever it was opened")


def _copied_within(attempt: Attempt, action: Action, within: Within) -> Outcome:
    if attempt.kernel is None:  # which counts what it moves by itself
        attempt.note_moved(within.moved)
    outcome = copied(action, within.seen, within.made, moved=within.moved)
    entry = unless_listed(action, as_recorded(action, within.seen.entry))
    return outcome._replace(racy=within.racy, entry=entry)


def _has_room_for(expected: int, found: int) -> bool:
    """Tell whether the room held for one size serves for the other.

    Ranges wait for room, which nobody may do who holds some.
    """
    held = whole_bytes(expected)
    return not held if is_large(found) else found <= held


def copied(action: Action, seen: Seen, made: Made, *, moved: int) -> Outcome:
    """Return the outcome of an entry that was made of `seen`."""
    return Outcome(
        Status.MADE if seen.entry.kind == Kind.SYMLINK else Status.COPIED,
        checksum=made.checksum,
        verified=Verified.METADATA if made.proven else Verified.NONE,
        moved=moved,
        lost=joined(made.lost, seen.unkept),
        entry=as_recorded(action, seen.entry),
        made=made.etag,
    )
