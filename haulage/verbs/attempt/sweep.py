"""Removes the temporaries of an attempt that died, by the names that it used."""

import os
from collections.abc import Sequence

from haulage.model import Action
from haulage.paths import parent_of
from haulage.storage.tree.descent import Descent
from haulage.storage.tree.files import remove_if_there, temp_dir_name, temp_name


def sweep(target: Descent, actions: Sequence[Action], token: str) -> None:
    """Remove what the attempt with `token` may have left for `actions`.

    Where it may not look any more it could not have left anything it may remove.
    """
    for row, action in enumerate(actions):
        temp = temp_name(token, row)
        above = parent_of(action.path)
        if (dir_fd := _open(target, above)) is not None:
            remove_if_there(dir_fd, temp)
        _sweep_dirs(target, above, temp_dir_name(temp))


def _sweep_dirs(target: Descent, above: bytes, temp: bytes) -> None:
    """Remove a directory that was to replace something above the entry."""
    while True:
        if (dir_fd := _open(target, above)) is not None:
            _remove_dir_if_there(dir_fd, temp)
        if not above:
            return
        above = parent_of(above)


def _open(target: Descent, path: bytes) -> int | None:
    try:
        return target.open(path)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None


def _remove_dir_if_there(dir_fd: int, name: bytes) -> None:
    try:
        os.rmdir(name, dir_fd=dir_fd)
    except (FileNotFoundError, NotADirectoryError):
        return
