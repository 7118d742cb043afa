"""Removes what we made and the source no longer has, if every guard agrees."""

from haulage.errors import FatalError
from haulage.model import Action, Outcome, Status
from haulage.paths import other_form
from haulage.verbs.attempt.attempt import Attempt


def check_source_has_entries(attempt: Attempt) -> None:
    """Raise FatalError for an empty source: one not mounted looks the same."""
    if attempt.source.is_empty():
        raise FatalError(
            "the source is empty now, as it is when it is not mounted; nothing was "
            "deleted. Mount it and resume, or allow an empty source"
        )


def delete(attempt: Attempt, action: Action, _row: int) -> Outcome:
    """Remove one entry of the target after proof of its absence at the source."""
    there = attempt.source.look(action.path)
    if there is not None and there.entry.kind == action.kind:
        return Outcome(Status.KEPT, reason="is at the source again")
    outcome = attempt.target.remove(action)
    if outcome.status is Status.KEPT and there is not None:
        found = attempt.target.look(action.path)
        is_replaced = found is not None and found.entry.kind == there.entry.kind
        return Outcome(Status.REPLACED) if is_replaced else outcome
    if outcome.status is Status.ABSENT:
        return _in_other_form(attempt, action) or outcome
    return outcome


def _in_other_form(attempt: Attempt, action: Action) -> Outcome | None:
    """Return what to say where a file has a directory's name, or the reverse."""
    other = other_form(action.path)
    found = attempt.target.look(other)
    if found is None:
        return None
    there = attempt.source.look(other)
    is_replaced = there is not None and there.entry.kind == found.entry.kind
    if is_replaced or not attempt.target.has_directories:
        return Outcome(Status.REPLACED)
    return Outcome(Status.KEPT, reason="its type changed since we made it")


def restore(attempt: Attempt, action: Action, _row: int) -> Outcome:
    """Bring back one entry that another run moved aside."""
    return attempt.target.restore(action)
