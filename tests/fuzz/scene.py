"""What a day finds in a tree, and the names that it draws from there."""

import os
import random
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from tests.trees.walk import below, opened

_SORTED_NASTILY = (b"a", b"a!", b"a ", b"a-", b"a.", b"a0", b"d", b"d!", b"d-", b"d.")
_BYTES = (b"\xff\xfe", "\u00e9".encode(), "e\u0301".encode(), b"a\nb", b"a\rb", b"\x01")
_OF_SHELLS = (b"*", b"[a]", b"\\", b"-rf", b"$x", b"d0", b"n" * 255)
NAMES = (*_SORTED_NASTILY * 3, *_BYTES, *_OF_SHELLS)
_DIRS = (b"d", b"d-", b"k", b"k", b"p")
KEEPER = b"keeper"  # no day touches it, so that the source is always the same one
TREES = (b"", *(b"t%d/" % number for number in range(7)))  # of one source
_PLAIN = re.compile(rb"[A-Za-z0-9_./@%+-]+")


@dataclass(frozen=True)
class Scene:
    """One tree of a source, and dice to choose with."""

    dice: random.Random
    tree: bytes  # its path, with a slash; of the first one, nothing
    found: dict[bytes, int]  # the modes of all that is there, by path
    away: tuple[bytes, ...]  # names of what an earlier day has put aside

    def new(self) -> bytes:
        """Return a path where there may be something already."""
        above = self._some_dir() if self.dice.random() < 0.4 else self.tree
        if above == self.tree:
            depth = self.dice.choice((0, 1, 1, 2))
            above += b"".join(self.dice.choice(_DIRS) + b"/" for _ in range(depth))
        return above + self.dice.choice(NAMES)

    def some(self, *kinds: int) -> bytes:
        """Return what is there and of one of these kinds; all kinds if none is said."""
        fitting = [
            path
            for path, mode in self.found.items()
            if not kinds or stat.S_IFMT(mode) in kinds
        ]
        return self.dice.choice(fitting) if fitting else self.new()

    def any(self) -> bytes:
        """Return what is there, or now and then some path."""
        return self.some() if self.dice.random() < 0.8 else self.new()

    def file(self) -> bytes:
        """Return a file."""
        return self.some(stat.S_IFREG)

    def directory(self) -> bytes:
        """Return a directory."""
        return self.some(stat.S_IFDIR)

    def linked(self) -> bytes:
        """Return what may be a name among others of one file."""
        return self.some(stat.S_IFREG, stat.S_IFREG, stat.S_IFLNK, stat.S_IFIFO)

    def _some_dir(self) -> bytes:
        dirs = [path for path, mode in self.found.items() if stat.S_ISDIR(mode)]
        return self.dice.choice(dirs) + b"/" if dirs else self.tree


def scenes(root: Path, dice: random.Random) -> list[Scene]:
    """Look at all trees of a source."""
    with opened(os.fsencode(root)) as top:
        found = {path: info.st_mode for path, info in below(top)}
    away = sorted(os.listdir(os.fsencode(root.parent / "away")))
    return [
        Scene(
            dice,
            tree,
            {path: mode for path, mode in found.items() if _tree_of(path) == tree},
            tuple(name for name in away if _tree_of(unfolded(name)) == tree),
        )
        for tree in TREES
    ]


def _tree_of(path: bytes) -> bytes | None:
    """Return the tree that a path belongs to; the roots and the keeper to none."""
    if path.startswith((*TREES[1:], KEEPER)):
        return next((tree for tree in TREES[1:] if path.startswith(tree)), None)
    return None if path + b"/" in TREES else TREES[0]


def folded(path: bytes) -> bytes:
    """Return a path as one name."""
    return path.replace(b"/", b"%")


def unfolded(name: bytes) -> bytes:
    """Return the path that was folded."""
    return name.replace(b"%", b"/")


def quoted(path: bytes) -> str:
    """Return a path below the present directory as bash takes it."""
    return _word(b"./" + path)


def _word(raw: bytes) -> str:
    if _PLAIN.fullmatch(raw):
        return raw.decode()
    safe = b' !#*[]{}~^=:;,<>|&()?$`"-'
    shown = "".join(
        chr(byte)
        if bytes([byte]).isalnum() or byte in safe + b"./_"
        else f"\\x{byte:02x}"
        for byte in raw
    )
    return f"$'{shown}'"
