"""Makes an entry larger than a shard: its parts by many movers, its name by one."""

from collections.abc import Sequence

from haulage.errors import UnstableError
from haulage.model import Action, Outcome, Status, Verified
from haulage.storage.store import Extent, Made, Seen, Writing
from haulage.storage.tree.metadata.xattrs import joined
from haulage.storage.versions import is_version
from haulage.verbs.attempt.attempt import Attempt
from haulage.verbs.stream import check_whole, move
from haulage.verbs.versions import (
    as_recorded,
    is_racy_entry,
    unless_listed,
)


def part(attempt: Attempt, action: Action, row: int) -> Outcome:
    """Move one extent of a split entry, which several movers make together."""
    within = attempt.target.part_within(attempt.source, action, row)
    if within is not None:
        return Outcome(
            Status.PART,
            racy=within.racy,
            moved=within.moved,
            entry=unless_listed(action, within.seen.entry),
        )
    now = attempt.source.now(action.path)
    with attempt.source.open(action.path, action.size, action.etag) as reading:
        seen = reading.seen
        if not is_version(action, seen.entry):
            raise UnstableError("changed since it was listed")
        writing = _begin(attempt, seen, row)
        try:
            extent = Extent(action.offset, action.length)
            move(attempt, reading, writing, extent)
            reading.confirm()
        finally:
            writing.leave()
    return Outcome(
        Status.PART,
        racy=is_racy_entry(seen.entry, now),
        moved=action.length,
        entry=as_recorded(action, seen.entry),
    )


def _begin(attempt: Attempt, seen: Seen, row: int) -> Writing:
    """Join the movers of a split entry.

    One of an object's several names needs the checksum, to be brought together by it.
    """
    entry = seen.entry
    is_named_twice = entry.etag is not None and entry.nlink > 1
    prove = attempt.hashing or is_named_twice
    return attempt.target.begin(entry.path, row, seen, shared=True, prove=prove)


def publish(
    attempt: Attempt, whole: Action, row: int, parts: Sequence[Action]
) -> Outcome:
    """Give a completed split entry its name, if its source stood still."""
    made = attempt.target.publish_within(attempt.source, parts)
    if made is not None:
        return _published(made, parts)
    with attempt.source.open(whole.path, whole.size, whole.etag) as reading:
        seen = reading.seen
        _check_version(seen, parts)
        writing = _begin(attempt, seen, row)
        check_whole(reading, writing)

    def confirm() -> None:  # holding it against the source's sum may have taken hours
        _check_version(attempt.source.look(whole.path), parts)

    made = writing.finish(seen, confirm)
    lost = joined(made.lost, seen.unkept)
    entry = as_recorded(whole, seen.entry)
    return _published(made, parts)._replace(lost=lost, entry=entry)


def _published(made: Made, parts: Sequence[Action]) -> Outcome:
    proof = Verified.METADATA if made.proven else Verified.NONE
    return Outcome(
        Status.COPIED,
        checksum=made.checksum,
        verified=Verified.CHECKSUM if made.checksum else proof,
        racy=any(piece.racy for piece in parts),
        lost=made.lost,
        made=made.etag,
    )


def _check_version(seen: Seen | None, parts: Sequence[Action]) -> None:
    if seen is None or not all(is_version(piece, seen.entry) for piece in parts):
        raise UnstableError("changed while its parts were copied")


def discard(attempt: Attempt, action: Action, _row: int) -> Outcome:
    """Drop what was begun of a large entry that will not be published."""
    attempt.target.discard(action.path)
    return Outcome(Status.ABSENT)
