"""Removes the temporaries of an attempt that died, by the names that it used."""

import os
from collections.abc import Sequence

from haulage.model import Action, parent_of
from haulage.ops.work import Work
from haulage.storage.posix import remove_if_there, temp_dir_name, temp_name


def sweep(work: Work, actions: Sequence[Action], token: str) -> None:
    """Remove what the attempt with `token` may have left for `actions`."""
    for row, action in enumerate(actions):
        try:
            dir_fd = work.target.open(parent_of(action.path))
        except (FileNotFoundError, NotADirectoryError):
            continue
        temp = temp_name(token, row)
        remove_if_there(dir_fd, temp)
        _remove_dir_if_there(dir_fd, temp_dir_name(temp))


def _remove_dir_if_there(dir_fd: int, name: bytes) -> None:
    try:
        os.rmdir(name, dir_fd=dir_fd)
    except (FileNotFoundError, NotADirectoryError):
        return
