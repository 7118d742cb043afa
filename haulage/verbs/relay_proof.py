"""Proves what is in the target, and removes what the source no longer has."""

from haulage.errors import FatalError, MismatchError, UnstableError, VanishedError
from haulage.model import Action, Kind, Outcome, Status, Verified
from haulage.paths import other_form
from haulage.storage.store import Seen, is_implied
from haulage.verbs.mismatch import unlike
from haulage.verbs.stream import digest_of
from haulage.verbs.transfer import Carrier
from haulage.verbs.versions import is_version


def check_bucket_has_entries(carrier: Carrier) -> None:
    """Raise FatalError for an empty source: one not mounted looks the same."""
    if carrier.source.is_empty():
        raise FatalError(
            "the source is empty now, as it is when it is not mounted; nothing was "
            "deleted. See to it and resume, or allow an empty source"
        )


def delete(carrier: Carrier, action: Action, _row: int) -> Outcome:
    """Remove one entry of the target after proof of its absence at the source."""
    seen = carrier.source.look(action.path)
    if seen is not None:
        return Outcome(Status.KEPT, reason="is at the source again")
    outcome = carrier.target.remove(action)
    if outcome.status is Status.ABSENT:
        other = carrier.target.look(other_form(action.path))
        return outcome if other is None else Outcome(Status.REPLACED)
    return outcome


def verify(carrier: Carrier, action: Action, _row: int) -> Outcome:
    """Prove one entry of the target; MismatchError says what is different."""
    if action.kind != Kind.FILE or not carrier.verifies_content:
        if not _is_nothing_by_itself(carrier, action):
            _hold_against(action, carrier.target.look(action.path))
        proof = max(Verified.METADATA, Verified(action.verified))
        return Outcome(
            Status.VERIFIED, action.checksum, proof, action.racy, made=action.made
        )
    found = _digest_of_target(carrier, action)
    if found != (action.checksum or _digest_of_source(carrier, action)):
        raise MismatchError("the target's content is not what the source's was")
    return Outcome(
        Status.VERIFIED, found, Verified.CHECKSUM, action.racy, moved=action.size,
        made=action.made,
    )  # fmt: skip


def _is_nothing_by_itself(carrier: Carrier, action: Action) -> bool:
    """Tell of a directory that its bucket has no object for it."""
    has_none = action.made is None and not carrier.target.has_directories
    return action.kind == Kind.DIR and has_none


def _digest_of_target(carrier: Carrier, action: Action) -> bytes:
    target = carrier.target
    try:
        with carrier.opened(target, action.path, action.size, action.made) as reading:
            _hold_against(action, reading.seen)
            reading.forget_cached()
            return digest_of(carrier, reading)
    except VanishedError as err:
        raise MismatchError("is missing in the target") from err
    except UnstableError as err:
        raise MismatchError(f"in the target: {err}") from err


def _digest_of_source(carrier: Carrier, action: Action) -> bytes:
    """Read the source, because a copy made by the server has no checksum of ours."""
    source = carrier.source
    with carrier.opened(source, action.path, action.size, action.etag) as reading:
        if not is_version(action, reading.seen.entry):
            raise MismatchError("the source changed, so the copy can not be proven")
        return digest_of(carrier, reading)


def _hold_against(action: Action, seen: Seen | None) -> None:
    """Compare what says that the target's entry is the one that was made."""
    if seen is None:
        raise MismatchError("is missing in the target")
    names = [] if action.kind == Kind.DIR else ["size"]
    if seen.entry.etag is None or action.etag is None:  # no copy of object to object
        names += ["kind", "target"]
        is_in_doubt = action.kind == Kind.DIR and action.racy
        has_times = not is_in_doubt and not is_implied(action.entry)
        names += ["mtime_s", "mtime_ns"] if has_times else []
        action = action.with_mtime_at_target()
    wrong = unlike(seen.entry, action, names)
    if action.etag_at_target not in (None, seen.entry.etag):
        wrong.append("it is another version than the one that was made")
    if wrong:
        raise MismatchError("; ".join(wrong))
