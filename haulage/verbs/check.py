"""Copies an entry only if its content is not what the target has."""

from typing import NamedTuple

from haulage.errors import UnstableError, VanishedError
from haulage.model import Action, Kind, Outcome, Verified
from haulage.storage.checksums import Content
from haulage.storage.store import Reading, Seen
from haulage.verbs.attempt.attempt import Attempt
from haulage.verbs.copy import copy
from haulage.verbs.in_place import IN_PLACE, update
from haulage.verbs.stream import content_of


class _Source(NamedTuple):
    """What a source's entry was found to be; `proven` where it was compared already."""

    seen: Seen
    content: Content | None = None
    proven: Verified | None = None


def check(attempt: Attempt, action: Action, row: int) -> Outcome:
    """Copy an entry only if its content is not what the target has."""
    now = attempt.source.now(action.path)
    source = _look_at(attempt, action)
    if source is None:
        return copy(attempt, action, row)
    seen, content, proven = source
    if content is not None:
        proven = _proof_of_equal(attempt, action, content)
    read = action.size if action.checksum and content else 2 * action.size
    if proven is None:
        return copy(attempt, action, row)._replace(read=read)
    equal = action._replace(checksum=content and content.checksum)
    outcome = update(attempt, equal, row, seen, now) or copy(attempt, action, row)
    if outcome.status in IN_PLACE:
        outcome = outcome._replace(verified=proven)
    return outcome._replace(read=read)


def _look_at(attempt: Attempt, action: Action) -> _Source | None:
    """Read the source; None if it is not of the size that was listed, or moves.

    A file with huge holes has no checksum; it is held against the target itself.
    """
    source = attempt.source
    with attempt.opened(source, action.path, action.size, action.etag) as reading:
        seen = reading.describe()
        if (seen.entry.size, seen.entry.kind) != (action.size, Kind.FILE):
            return None
        if reading.has_huge_holes:
            found = _Source(seen, proven=_proof_of_same_data(attempt, action, reading))
        else:
            found = _Source(seen, content_of(attempt, reading))
        try:
            reading.confirm()
        except UnstableError:
            return None
    return found


def _proof_of_same_data(
    attempt: Attempt, action: Action, source: Reading
) -> Verified | None:
    try:
        with attempt.target.open(action.path, action.size) as target:
            return Verified.CHECKSUM if source.has_same_data(target) else None
    except (VanishedError, UnstableError, OSError):
        return None


def _proof_of_equal(
    attempt: Attempt, action: Action, content: Content
) -> Verified | None:
    """Return how far the target is proven to have `content`, or None if it has not."""
    if action.checksum is not None:
        return Verified(action.verified) if content.has(action.checksum) else None
    target = attempt.target
    try:
        with attempt.opened(target, action.path, action.size, action.made) as reading:
            if reading.seen.entry.size != action.size:
                return None
            same = content_of(attempt, reading) == content
    except (VanishedError, UnstableError, OSError):
        return None
    return Verified.CHECKSUM if same else None
