"""Directory descriptors below a root, reached by component, never through a link."""

import os
from collections import OrderedDict
from typing import Protocol

from haulage.model import Lost
from haulage.paths import parent_of
from haulage.storage.tree.filesystem.spelling import Spelling

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_KEPT = 64  # descriptors a process keeps for the directories that it used last


class Maker(Protocol):
    """Makes directories in another way than plain mkdir."""

    def make(self, path: bytes, dir_fd: int, name: bytes, mode: int) -> None:
        """Make `name` in an open directory, which is or will be `path` of the tree."""
        ...

    def settle(self, target: "Descent", path: bytes) -> Lost | None:
        """Return what an existing directory lacks of its requested layout."""
        ...


class Descent:
    """Opens directories below one root and keeps the last ones open.

    Each component is opened relative to its parent's descriptor with O_NOFOLLOW, so
    that no path is too long and a component that became a symbolic link is an OSError
    (ENOTDIR or ELOOP), not a way out of the root.
    """

    def __init__(self, root: str, new_dir_mode: int = 0o700) -> None:
        """Open `root`, which itself may be reached through links.

        Directories made below it start with `new_dir_mode`.
        """
        self.new_dir_mode = new_dir_mode
        self.maker: Maker | None = None
        self.spelling: Spelling | None = None
        self.root_fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self.is_root = os.geteuid() == 0  # asked once: it is a call for every file
        self._kept: OrderedDict[bytes, int] = OrderedDict()

    def mkdir(self, path: bytes, dir_fd: int, name: bytes) -> None:
        """Make directory `path` of the tree as `name` in `dir_fd`, for its owner."""
        if self.maker:
            self.maker.make(path, dir_fd, name, self.new_dir_mode)
        else:
            os.mkdir(name, self.new_dir_mode, dir_fd=dir_fd)

    def close(self) -> None:
        """Close every descriptor."""
        self.forget()
        os.close(self.root_fd)

    def open(self, path: bytes) -> int:
        """Return a descriptor of `path`, valid until 64 others were opened."""
        if not path:
            return self.root_fd
        fd = self._kept.get(path)
        if fd is not None:
            self._kept.move_to_end(path)
            return fd
        return self._reach(path)

    def _reach(self, path: bytes) -> int:
        """Descend from the nearest directory that is open."""
        missing = [path]
        above = parent_of(path)
        while above and above not in self._kept:
            missing.append(above)
            above = parent_of(above)
        fd = self._kept[above] if above else self.root_fd
        for step in reversed(missing):
            name = step[len(parent_of(step)) : -1]
            fd = os.open(name, _OPEN, dir_fd=fd)
            self._keep(step, fd)
        return fd

    def _keep(self, path: bytes, fd: int) -> None:
        self._kept[path] = fd
        if len(self._kept) > _KEPT:
            os.close(self._kept.popitem(last=False)[1])

    def forget(self, below: bytes = b"") -> None:
        """Close cached descriptors at or below `below`: a name may have changed."""
        for path in [path for path in self._kept if path.startswith(below)]:
            os.close(self._kept.pop(path))
