"""Make directories on Lustre: their MDT, and their default layout."""

import fcntl
import os
from pathlib import Path

import xxhash

from haulage.config.striping import Layout
from haulage.model import Loss, Lost
from haulage.paths import parent_of
from haulage.private import make_file
from haulage.storage.tree.descent import Descent
from haulage.storage.tree.lustre.lfs import (
    LfsError,
    layout_of,
    make_dir_on,
    set_default,
)
from haulage.storage.tree.metadata.xattrs import joined

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NOBODYS = b"-" * 16 + b"\n"  # a turn of an earlier run


class LustreMaker:
    """Makes one shard's directories, and remembers their losses.

    Directories of the first level are made on each of `mdts` in turn; each directory
    gets the default layout of its counterpart below `source`, if that is given.
    """

    def __init__(
        self, mdts: tuple[int, ...], turns: Path, source: Descent | None
    ) -> None:
        self._mdts = mdts
        self._turns = turns
        self._source = source
        self._made: dict[bytes, Lost | None] = {}

    def make(self, path: bytes, dir_fd: int, name: bytes, mode: int) -> None:
        """See Maker; FileExistsError as of mkdir."""
        lost: Lost | None = None
        if self._mdts and not parent_of(path):
            lost = self._make_in_turn(path, dir_fd, name, mode)
        else:
            os.mkdir(name, mode, dir_fd=dir_fd)
        if self._source:
            fd = os.open(name, _OPEN, dir_fd=dir_fd)
            try:
                lost = joined(lost, keep_default(self._source, path, fd))
            finally:
                os.close(fd)
        self._made[path] = lost

    def _make_in_turn(
        self, path: bytes, dir_fd: int, name: bytes, mode: int
    ) -> Lost | None:
        if _is_there(dir_fd, name):
            raise FileExistsError(name)
        mdt = self._mdts[_turn_of(self._turns, path) % len(self._mdts)]
        try:
            make_dir_on(dir_fd, name, mdt, mode)
        except LfsError as err:
            os.mkdir(name, mode, dir_fd=dir_fd)
            return Lost(Loss.LAYOUT, f"not made on MDT {mdt}: {err}")
        return None

    def settle(self, target: Descent, path: bytes) -> Lost | None:
        """See Maker."""
        if path in self._made:
            return self._made.pop(path)
        if not self._source:
            return None
        return keep_default(self._source, path, target.open(path))


def _is_there(dir_fd: int, name: bytes) -> bool:
    try:
        os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def begin_turns(turns: Path, there: int) -> None:
    """Count `there` directories as made; a resumed run keeps its count."""
    if not turns.exists():
        make_file(turns)
        turns.write_bytes(_NOBODYS * there)


def _turn_of(turns: Path, path: bytes) -> int:
    """Return how many directories had their turn before this one.

    The turn is the same for every mover that makes the directory, or tries to.
    """
    line = xxhash.xxh3_64_hexdigest(path).encode() + b"\n"
    fd = os.open(turns, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        taken = os.pread(fd, os.fstat(fd).st_size, 0)
        at = taken.find(line)
        if at < 0:
            at = len(taken)
            os.pwrite(fd, line, at)
        return at // len(line)
    finally:
        os.close(fd)


def keep_default(source: Descent, path: bytes, target_fd: int) -> Lost | None:
    """Give a directory the default layout of its counterpart at the source."""
    try:
        source_fd = source.open(path)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        # Its entry, or its listing, will say so.
        return None
    try:
        wanted = layout_of(source_fd)
    except LfsError as err:
        return _lost_default(str(err))
    return hand_on(target_fd, wanted)


def hand_on(target_fd: int, wanted: Layout) -> Lost | None:
    """Set the default layout of an open directory; return what is not possible."""
    can_be_asked_for = wanted.components or not wanted.beyond
    try:
        if can_be_asked_for and layout_of(target_fd).components != wanted.components:
            set_default(target_fd, wanted)
    except LfsError as err:
        return _lost_default(str(err))
    return _lost_default(f"it has {wanted.beyond}") if wanted.beyond else None


def _lost_default(words: str) -> Lost:
    return Lost(Loss.LAYOUT, f"default layout not kept: {words}")
