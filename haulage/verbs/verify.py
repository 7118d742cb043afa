"""Reads the target again and holds it against what was sent."""

from collections.abc import Iterator
from contextlib import contextmanager

from haulage.errors import MismatchError, UnstableError, VanishedError
from haulage.model import Action, Kind, Outcome, Status, Verified
from haulage.paths import shown
from haulage.storage.checksums import Content
from haulage.storage.store import Reading, Seen
from haulage.storage.versions import is_version
from haulage.verbs.attempt.attempt import Attempt
from haulage.verbs.stream import content_of

_OTHER_CONTENT = "the target's content is not what the source's was"
_SOURCE_CHANGED = "the source changed, so the copy cannot be verified"


def verify(attempt: Attempt, action: Action, _row: int) -> Outcome:
    """Prove one entry of the target; MismatchError says what is different.

    What has a `leader` is to be another name of it.
    """
    if action.leader is not None:
        _prove_same(attempt, action, action.leader)
    if action.kind != Kind.FILE or not attempt.verifies_content:
        _prove_attributes(attempt, action)
        proof = max(Verified.METADATA, Verified(action.verified))
        return Outcome(
            Status.VERIFIED, action.checksum, proof, action.racy, made=action.made
        )
    found, moved = _content_of_target(attempt, action)
    if found is None:
        _prove_same_data(attempt, action)
    elif action.checksum is None:
        _prove_against_source(attempt, action, found)
    elif not found.has(action.checksum):
        raise MismatchError(_OTHER_CONTENT)
    checksum = found and found.checksum
    return Outcome(
        Status.VERIFIED, checksum, Verified.CHECKSUM, action.racy, moved=moved,
        made=action.made,
    )  # fmt: skip


def _prove_same(attempt: Attempt, action: Action, other: bytes) -> None:
    mine = attempt.target.look(action.path, anew=False)
    found = attempt.target.look(other, anew=False)
    if not mine or not found:
        return
    if (mine.entry.dev, mine.entry.ino) != (found.entry.dev, found.entry.ino):
        raise MismatchError(
            f"is no longer the same file as {shown(other)} in the target; the next run "
            f"links them again"
        )


def _prove_attributes(attempt: Attempt, action: Action) -> None:
    """Hold all but the content against what was made.

    For a directory a bucket may have no object.
    """
    has_none = action.made is None and not attempt.target.has_directories
    if not (action.kind == Kind.DIR and has_none):
        _hold_against(attempt, action, attempt.target.look(action.path, anew=False))


def _content_of_target(attempt: Attempt, action: Action) -> tuple[Content | None, int]:
    """Return the target's content, and how much was read for it.

    None for a file with huge holes whose source has none either.
    """
    target = attempt.target
    try:
        with attempt.opened(target, action.path, action.size, action.made) as reading:
            entry = reading.seen.entry
            _hold_against(attempt, action, reading.seen)
            if action.checksum is None and reading.has_huge_holes:
                return None, action.size
            if (known := attempt.proofs.of(entry)) is not None:
                return known, 0  # it was read by another of its names
            reading.forget_cached()
            found = content_of(attempt, reading)
    except VanishedError as err:
        raise MismatchError("is missing in the target") from err
    except UnstableError as err:
        raise MismatchError(f"in the target: {err}") from err
    attempt.proofs.note(entry, found)
    return found, action.size


@contextmanager
def _source(attempt: Attempt, action: Action) -> Iterator[Reading]:
    """Open the source's entry, which must stand still meanwhile.

    It is read because what a server or the kernel copied has no checksum of ours.
    """
    source = attempt.source
    with attempt.opened(source, action.path, action.size, action.etag) as reading:
        if reading.seen.entry.size != action.size:
            raise MismatchError(_SOURCE_CHANGED)
        yield reading
        try:
            reading.confirm()
        except UnstableError as err:
            raise MismatchError(_SOURCE_CHANGED) from err


def _prove_against_source(attempt: Attempt, action: Action, found: Content) -> None:
    with _source(attempt, action) as reading:
        same = content_of(attempt, reading) == found
    if not same:
        is_old = is_version(action, reading.seen.entry)
        raise MismatchError(_OTHER_CONTENT if is_old else _SOURCE_CHANGED)


def _prove_same_data(attempt: Attempt, action: Action) -> None:
    target = attempt.target
    with (
        _source(attempt, action) as reading,
        attempt.opened(target, action.path, action.size, action.made) as other,
    ):
        other.forget_cached()
        same = reading.has_same_data(other)
    if not same:
        raise MismatchError(_OTHER_CONTENT)


def _hold_against(attempt: Attempt, action: Action, seen: Seen | None) -> None:
    """Raise MismatchError unless the target's entry has what was made."""
    if seen is None:
        raise MismatchError("is missing in the target")
    if wrong := attempt.target.differences(action, seen.entry):
        raise MismatchError("; ".join(wrong))
