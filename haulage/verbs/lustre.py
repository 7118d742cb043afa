"""Begins a file on a Lustre with the layout that its size asks for."""

from haulage.config.striping import Layout
from haulage.errors import VanishedError
from haulage.model import Action, Lost
from haulage.paths import parent_of
from haulage.storage.tree.files import create
from haulage.storage.tree.lustre.files import (
    create_laid,
    create_shared,
    lost_layout,
    missing,
    open_laid,
)
from haulage.storage.tree.lustre.lfs import LfsError, layout_of
from haulage.verbs.attempt import Attempt, tree


def begin(
    attempt: Attempt, action: Action, size: int, dir_fd: int, temp: bytes
) -> tuple[int, Lost | None]:
    """Create a temporary for writing; tell what of its layout it could not get."""
    mode = tree(attempt.target).preserved.new_mode
    wanted = _wanted(attempt, action, size)
    if isinstance(wanted, Layout):
        return create_laid(dir_fd, temp, wanted, mode)
    return create(dir_fd, temp, mode=mode), wanted


def begin_shared(
    attempt: Attempt, action: Action, row: int, dir_fd: int, temp: bytes
) -> int:
    """Open the temporary of a split file, made if it misses."""
    mode = tree(attempt.target).preserved.new_mode
    if tree(attempt.target).rules.of_file(action.size) is None:
        return create(dir_fd, temp, shared=True, mode=mode)
    try:
        return open_laid(dir_fd, temp)
    except FileNotFoundError:
        wanted = _wanted(attempt, action, action.size)
    if isinstance(wanted, Layout):
        own = tree(attempt.target).temp(row)
        return create_shared(dir_fd, temp, own, wanted, mode)[0]
    return create(dir_fd, temp, shared=True, mode=mode)


def lost_by_parts(
    attempt: Attempt, whole: Action, dir_fd: int, name: bytes
) -> Lost | None:
    """Tell what a split file, made by several movers, has not got of its layout."""
    wanted = _wanted(attempt, whole, whole.size)
    if isinstance(wanted, Layout):
        return missing(dir_fd, name, wanted)
    return wanted


def _wanted(attempt: Attempt, action: Action, size: int) -> Layout | Lost | None:
    """Return the layout for a file; None if it needs none, a loss if it is unknown."""
    rule = tree(attempt.target).rules.of_file(size)
    if rule is None or rule.layout is not None:
        return rule and rule.layout
    above = parent_of(action.path)
    try:
        return layout_of(
            tree(attempt.source).descent.open(above), action.path[len(above) :]
        )
    except LfsError as err:
        return lost_layout(str(err))
    except (FileNotFoundError, NotADirectoryError) as err:
        raise VanishedError("is gone since it was listed") from err
