"""Check whether this user may read the planned files, as their movers would find."""

import errno
import os
from types import TracebackType
from typing import Self

import numpy as np
import pyarrow as pa

from haulage.catalog.failures import Failure
from haulage.model import Verb
from haulage.paths import parent_of
from haulage.place import Place
from haulage.planning.columns import is_file
from haulage.storage.tree.descent import Descent

_READS = (Verb.COPY, Verb.CHECK, Verb.REPLACE)
_OWNER, _GROUP, _OTHERS = 0o400, 0o040, 0o004


class Readable:
    """The files of one source; use as a context manager.

    Objects of a bucket are not checked: each would cost a request.
    """

    def __init__(self, source: Place) -> None:
        """Prepare the checks; nothing is opened before the first."""
        self._root = None if source.is_bucket else Descent(source.url)
        self._uid = os.geteuid()
        self._gids = np.array([os.getegid(), *os.getgroups()])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._root:
            self._root.close()

    def of(self, actions: pa.Table) -> tuple[pa.Table, list[Failure]]:
        """Return the actions that can be done, and a failure for each other one."""
        if self._root is None or not actions.num_rows:
            return actions, []
        shut = [row for row in self._doubtful(actions) if self._is_shut(actions, row)]
        if not shut:
            return actions, []
        stays = np.ones(actions.num_rows, np.bool_)
        stays[shut] = False
        return actions.filter(pa.array(stays)), [_failure(actions, row) for row in shut]

    def _doubtful(self, actions: pa.Table) -> np.ndarray:
        """Return the rows that read a file; for root, those unreadable for others.

        An ACL may forbid what the mode allows, but not to root.
        """
        reads = np.isin(actions["verb"].to_numpy(), _READS) & is_file(actions)
        if self._uid == 0:
            mode = actions["mode"].to_numpy()
            mine = (actions["uid"].to_numpy() == 0) & (mode & _OWNER != 0)
            ours = np.isin(actions["gid"].to_numpy(), self._gids) & (mode & _GROUP != 0)
            reads &= ~(mine | ours | (mode & _OTHERS != 0))
        return np.flatnonzero(reads)

    def _is_shut(self, actions: pa.Table, row: int) -> bool:
        assert self._root is not None
        path = actions["path"][int(row)].as_py()
        above = parent_of(path)
        try:
            dir_fd = self._root.open(above)
        except OSError:  # gone, or swapped: the run will find that, or something else
            return False
        name = path[len(above) :]

        def may(mode: int) -> bool:
            return os.access(name, mode, dir_fd=dir_fd, effective_ids=True)

        return not may(os.R_OK) and may(os.F_OK)


def _failure(actions: pa.Table, row: int) -> Failure:
    verb = Verb(actions["verb"][int(row)].as_py()).name.lower()
    path = actions["path"][int(row)].as_py()
    reason = f"could not be read: {os.strerror(errno.EACCES)}"
    return Failure(path, verb, "failed", "permanent", errno.EACCES, reason)
