"""Makes directories, and gives them their attributes after all that happened below."""

from haulage.errors import UnstableError, VanishedError
from haulage.model import Action, Kind, Outcome, Status, Verified
from haulage.paths import other_form
from haulage.storage.tree.metadata.xattrs import joined
from haulage.verbs.attempt.attempt import Attempt
from haulage.verbs.versions import NOT_MADE, as_recorded


def mkdir(attempt: Attempt, action: Action, row: int) -> Outcome:
    """Make sure that a directory is there.

    In a tree its attributes come with the dirs pass, when nothing below it changes any
    more; what stands for it in a bucket has them from the start.
    """
    was_there = action.was_mtime_s or action.was_mtime_ns
    status = Status.UPDATED if was_there else Status.MADE
    if attempt.target.has_directories:
        check_dir(attempt, action)
        return Outcome(status, lost=attempt.target.make_dir(action.path, row))
    outcome = finish_dir(attempt, action, row)
    return (
        outcome if outcome.status is Status.ABSENT else outcome._replace(status=status)
    )


def check_dir(attempt: Attempt, action: Action) -> None:
    """Raise unless the source has a directory there still.

    In a bucket any key below implies one, so it is only asked whether a file is there,
    and only where one would be replaced.
    """
    if not action.path:
        return
    source, name = attempt.source, other_form(action.path)
    if source.has_directories:
        if source.look(action.path) is None:
            if source.look(name) is None:
                raise VanishedError("is gone since it was listed")
            raise UnstableError("is no longer a directory")
        return
    there = attempt.target.look(name)
    in_the_way = there is not None and there.entry.kind != Kind.DIR
    if in_the_way and source.look(name) is not None:
        raise UnstableError("is no longer a directory")


def finish_dir(attempt: Attempt, action: Action, _row: int) -> Outcome:
    """Give a directory what its source has; what only a prefix implies has nothing."""
    source = attempt.source
    is_known = action.etag is None and not source.has_directories
    seen = None
    if not is_known:
        seen = source.look(action.path, anew=False, described=True)
    if seen is None:
        seen = source.implied(action.path)
    if seen.entry.kind != Kind.DIR:
        raise UnstableError("is no longer a directory")
    try:
        made = attempt.target.finish_dir(action.path, seen)
    except FileNotFoundError as err:
        raise UnstableError(NOT_MADE) from err
    if made is None:
        return Outcome(Status.ABSENT)
    return Outcome(
        Status.UPDATED,
        verified=Verified.METADATA,
        lost=joined(made.lost, seen.unkept),
        entry=as_recorded(action, seen.entry),
        made=made.etag,
    )
