"""Gives the target's entry the source's attributes, where its content is the same."""

from haulage.errors import UnstableError, VanishedError
from haulage.model import Action, Outcome, Status
from haulage.storage.store import Now, Seen
from haulage.storage.tree.metadata.xattrs import joined
from haulage.verbs.attempt.attempt import Attempt
from haulage.verbs.copy import copied
from haulage.verbs.send import send
from haulage.verbs.stream import content_of
from haulage.verbs.versions import as_recorded, is_racy_entry, unless_listed

IN_PLACE = frozenset({Status.UPDATED, Status.UNCHANGED})


def update(
    attempt: Attempt, action: Action, row: int, seen: Seen, now: Now
) -> Outcome | None:
    """Set attributes alone; None where the target's entry is not the one we made.

    `action.checksum` is what its content has, if that is known.
    """
    made = attempt.target.set_attributes(action, seen)
    if made is None:
        return _apart(attempt, action, row, seen, now)
    return Outcome(
        Status.UPDATED if made.changed else Status.UNCHANGED,
        checksum=action.checksum,
        racy=is_racy_entry(seen.entry, now),
        lost=joined(made.lost, seen.unkept),
        entry=unless_listed(action, as_recorded(action, seen.entry)),
        made=made.etag,
    )


def _apart(
    attempt: Attempt, action: Action, row: int, seen: Seen, now: Now
) -> Outcome | None:
    """Make one of a file's names a file of its own, of what the target has.

    None if that is not what we made, or if the source is a tree, too.
    """
    target = attempt.target
    if action.checksum is None or not target.has_directories:
        return None
    if attempt.source.has_directories:
        return None
    try:
        with attempt.opened(target, action.path, action.size, None) as reading:
            found = reading.seen.entry
            if found.nlink == 1 or found.size != seen.entry.size:
                return None
            if not content_of(attempt, reading).has(action.checksum):
                return None
            reading.seen = seen
            made = send(attempt, action.path, row, reading)
    except (VanishedError, UnstableError):
        return None
    outcome = copied(action, seen, made, moved=0)
    return outcome._replace(racy=is_racy_entry(seen.entry, now))
