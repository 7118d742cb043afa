"""Know what of a tree still stands as it was, so that no change hits another."""

import os
import random
import stat
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from tests.trees.attributes import Kind
from tests.trees.walk import below, opened

_TRIES = 100
_LONGEST = 3500  # bytes of a path that is handed whole to a system call
_LARGEST = 64 << 20  # bytes that are read to be changed
_KINDS = {stat.S_IFREG: Kind.FILE, stat.S_IFDIR: Kind.DIR, stat.S_IFLNK: Kind.SYMLINK}


class Standing:
    """The paths of a tree as they were at first, and what became of them."""

    def __init__(self, root: bytes, rng: random.Random) -> None:
        """List the tree, sorted, so that equal trees give equal choices."""
        self._root = root
        self._rng = rng
        self._changed: set[bytes] = set()
        self._gone: set[bytes] = set()  # with all that was below
        self._holding: set[bytes] = set()  # directories with a change below
        self._weights: Counter[bytes] = Counter()  # entries below each directory
        self._known = {b""}
        self._empty: set[bytes] = set()
        self._paths: dict[Kind, list[bytes]] = {kind: [] for kind in Kind}
        with opened(root) as fd:
            for path, info in below(fd):
                self._add(path, info)

    def __len__(self) -> int:
        """Return how many entries there were at first."""
        return self._weights[b""]

    def _add(self, path: bytes, info: os.stat_result) -> None:
        kind = _KINDS.get(stat.S_IFMT(info.st_mode))
        if kind and len(path) <= _LONGEST and info.st_size <= _LARGEST:
            self._paths[kind].append(path)
        if info.st_size == 0:
            self._empty.add(path)
        self._known.add(path)
        self._weights.update(_above(path))

    def pick(self, *kinds: Kind, filled: bool = False) -> bytes | None:
        """Take an unchanged entry of one of these kinds, to change it in its place."""
        there = [self._paths[kind] for kind in kinds if self._paths[kind]]
        for _ in range(_TRIES if there else 0):
            path = self._rng.choice(self._rng.choice(there))
            usable = not (filled and path in self._empty)
            if usable and path not in self._changed and self._stands(path):
                return self._take(path)
        return None

    def pick_tree(self, min_weight: int, max_weight: int) -> bytes | None:
        """Take a directory in and below which nothing changed, to do away with it."""
        paths = self._paths[Kind.DIR]
        for _ in range(_TRIES if paths else 0):
            path = self._rng.choice(paths)
            fits = min_weight <= 1 + self._weights[path] <= max_weight
            busy = path in self._changed or path in self._holding
            if fits and not busy and self._stands(path):
                self._gone.add(path)
                return self._take(path)
        return None

    def place(self, name: bytes) -> bytes | None:
        """Take the path of a new entry `name` in a directory that stands, if the path
        was never used: a name that comes back would hide that it went away."""
        homes = self._paths[Kind.DIR]
        at = self._rng.randrange(len(homes) + 1)
        home = homes[at] if at < len(homes) else b""
        path = home + b"/" + name if home else name
        if path in self._known or not self._stands(path):
            return None
        self._known.add(path)
        return self._take(path)

    def _take(self, path: bytes) -> bytes:
        self._changed.add(path)
        self._holding.update(_above(path))
        return path

    def _stands(self, path: bytes) -> bool:
        return path not in self._gone and self._gone.isdisjoint(_above(path))

    @contextmanager
    def unlocked(self, path: bytes) -> Iterator[bytes]:
        """Let the owner write to the directory that holds `path` for a while, and give
        the path that system calls take. Root needs no leave."""
        full = os.path.join(self._root, path)
        home = os.path.dirname(full)
        mode = stat.S_IMODE(os.stat(home).st_mode)
        if os.geteuid() == 0:
            yield full
            return
        os.chmod(home, mode | 0o700)
        yield full
        os.chmod(home, mode)


def _above(path: bytes) -> list[bytes]:
    """Return the directories that hold `path`, the root among them."""
    parts = path.split(b"/")[:-1]
    return [b"/".join(parts[:count]) for count in range(len(parts) + 1)]
