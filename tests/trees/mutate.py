"""Change a tree as the day between two nights does, by a seed."""

import os
import random
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from pathlib import Path

from tests.trees import edits
from tests.trees.attributes import Attributes, Kind, acl
from tests.trees.names import Names
from tests.trees.standing import Standing


class What(StrEnum):
    """One kind of change."""

    CREATE_FILE = "create file"
    CREATE_DIR = "create directory"
    CREATE_SYMLINK = "create symlink"
    EDIT = "edit"  # another size
    EDIT_SAME_SIZE = "edit, same size"
    EDIT_STEALTHILY = "edit, same size and mtime"  # only the ctime tells
    CHMOD = "chmod"
    CHOWN = "chown"
    SET_XATTR = "set attribute"  # only the ctime tells
    GRANT = "set ACL"  # as above
    TOUCH = "touch"  # forward or back in time
    RENAME = "rename"
    RENAME_DIR = "rename directory"
    DELETE = "delete"
    DELETE_DIR = "delete directory"
    RETARGET = "retarget symlink"
    FILE_TO_DIR = "file to directory"
    FILE_TO_SYMLINK = "file to symlink"
    DIR_TO_FILE = "directory to file"
    DIR_TO_SYMLINK = "directory to symlink"
    SYMLINK_TO_DIR = "symlink to directory"


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that was done. `path` is relative and has no slash at its end."""

    what: What
    path: bytes
    to: bytes | None = None  # where a renamed entry is now


_ROUND = (*What, What.EDIT, What.EDIT, What.EDIT, What.CREATE_FILE, What.DELETE)
_FILE, _DIR, _LINK = (Kind.FILE,), (Kind.DIR,), (Kind.SYMLINK,)
_NEW = frozenset({What.CREATE_FILE, What.CREATE_DIR, What.CREATE_SYMLINK})
_FILLED = frozenset({What.EDIT_SAME_SIZE, What.EDIT_STEALTHILY})
_RENAMES = frozenset({What.RENAME, What.RENAME_DIR})
_KINDS = {
    What.EDIT: _FILE,
    What.EDIT_SAME_SIZE: _FILE,
    What.EDIT_STEALTHILY: _FILE,
    What.CHMOD: _FILE + _DIR,
    What.CHOWN: _FILE + _DIR + _LINK,
    What.SET_XATTR: _FILE + _DIR,
    What.GRANT: _FILE + _DIR,
    What.TOUCH: _FILE + _DIR + _LINK,
    What.RENAME: _FILE + _LINK,
    What.DELETE: _FILE + _LINK,
    What.RETARGET: _LINK,
    What.FILE_TO_DIR: _FILE,
    What.FILE_TO_SYMLINK: _FILE,
    What.SYMLINK_TO_DIR: _LINK,
}
_TREES = {  # the fewest entries that the tree must have, its directory included
    What.RENAME_DIR: 1,
    What.DELETE_DIR: 1,
    What.DIR_TO_FILE: 2,
    What.DIR_TO_SYMLINK: 1,
}
_ROUND = (*What, What.EDIT, What.EDIT, What.EDIT, What.CREATE_FILE, What.DELETE)
_MOST_NEW = 40  # entries in a new directory
_TREE_WEIGHT = 15  # entries that vanish at once, without need


def mutate(root: Path | str, seed: int, share: float = 0.05) -> list[Change]:
    """Change about `share` of a tree's entries, at least one, and say what was done.

    No change undoes or hides another, so each one shows in a comparison. Every kind
    comes once in 26 changes where the tree has the entries for it; chown only as root.
    The number of entries stays about the same."""
    day = _Day(os.fsencode(root), random.Random(seed))
    wanted = max(1, round(share * len(day.standing)))
    done = (day.do(what) for what in day.agenda(wanted))
    return list(islice((change for change in done if change is not None), wanted))


class _Day:
    """Makes changes, each to an entry that no other change has met."""

    def __init__(self, root: bytes, rng: random.Random) -> None:
        self._rng = rng
        self._names = Names(rng, nasty=True)
        self._attributes = Attributes(rng, nasty=True)
        self._surplus = 0  # entries made, less entries removed
        self.standing = Standing(root, rng)
        self._ways: dict[What, Callable[[bytes], None]] = {
            What.CREATE_FILE: self._make_file,
            What.CREATE_DIR: self._make_dir,
            What.CREATE_SYMLINK: self._make_link,
            What.EDIT: self._edit,
            What.EDIT_SAME_SIZE: self._flip,
            What.EDIT_STEALTHILY: self._flip_stealthily,
            What.CHMOD: self._chmod,
            What.CHOWN: self._chown,
            What.SET_XATTR: self._set_xattr,
            What.GRANT: self._grant,
            What.TOUCH: self._touch,
            What.DELETE: self._remove,
            What.DELETE_DIR: self._remove,
            What.RETARGET: self._replaced_by(self._make_link),
            What.FILE_TO_DIR: self._replaced_by(self._make_dir),
            What.FILE_TO_SYMLINK: self._replaced_by(self._make_link),
            What.DIR_TO_FILE: self._replaced_by(self._make_file),
            What.DIR_TO_SYMLINK: self._replaced_by(self._make_link),
            What.SYMLINK_TO_DIR: self._replaced_by(self._make_dir),
        }

    def agenda(self, wanted: int) -> Iterator[What]:
        """Yield what to do, in shuffled rounds, and give up in the end."""
        for _ in range(3 + 3 * wanted // len(_ROUND)):
            yield from self._rng.sample(_ROUND, len(_ROUND))

    def do(self, what: What) -> Change | None:
        """Make one change of this kind; None where the tree has nothing for it."""
        path = self._path_for(what)
        if path is None:
            return None
        with self.standing.unlocked(path) as full:
            if what in _RENAMES:
                return Change(what, path, self._rename(full))
            self._ways[what](full)
        return Change(what, path)

    def _path_for(self, what: What) -> bytes | None:
        if what in _NEW:
            return self._new_path()
        if what in _TREES:
            most = max(_TREE_WEIGHT, self._surplus)
            return self.standing.pick_tree(_TREES[what], most)
        if what is What.CHOWN and not self._attributes.as_root:
            return None
        return self.standing.pick(*_KINDS[what], filled=what in _FILLED)

    def _new_path(self) -> bytes:
        while True:
            name = self._rng.choice(self._names.draw()).rstrip(b"/")
            path = self.standing.place(name)
            if path is not None:
                return path

    def _make_file(self, full: bytes) -> None:
        edits.write_new(full, self._rng.randbytes(self._rng.randint(0, 20_000)))
        self._surplus += 1

    def _make_link(self, full: bytes) -> None:
        os.symlink(b"made/" + self._names.plain(), full)
        self._surplus += 1

    def _make_dir(self, full: bytes) -> None:
        entries = max(1, min(_MOST_NEW, -self._surplus))
        edits.make_dir(full, self._rng, entries)
        self._surplus += 1 + entries

    def _remove(self, full: bytes) -> None:
        self._surplus -= edits.remove(full)

    def _replaced_by(self, make: Callable[[bytes], None]) -> Callable[[bytes], None]:
        def replace(full: bytes) -> None:
            self._remove(full)
            make(full)

        return replace

    def _rename(self, full: bytes) -> bytes:
        to = self._new_path()
        with self.standing.unlocked(to) as new:
            edits.move(full, new)
        return to

    def _edit(self, full: bytes) -> None:
        self._put(full, edits.resized(edits.read(full), self._rng))

    def _flip(self, full: bytes) -> None:
        self._put(full, edits.flipped(edits.read(full), self._rng))

    def _flip_stealthily(self, full: bytes) -> None:
        old = os.stat(full)
        self._flip(full)
        os.utime(full, ns=(old.st_atime_ns, old.st_mtime_ns))

    def _put(self, full: bytes, content: bytes) -> None:
        self._rng.choice((edits.overwrite, edits.replace))(full, content)

    def _chmod(self, full: bytes) -> None:
        info = os.stat(full)
        kind = Kind.DIR if stat.S_ISDIR(info.st_mode) else Kind.FILE
        mode = old = stat.S_IMODE(info.st_mode)
        while mode == old:
            mode = self._attributes.mode(kind)
        os.chmod(full, mode)

    def _chown(self, full: bytes) -> None:
        info = os.lstat(full)
        owner = old = (info.st_uid, info.st_gid)
        while owner == old:
            owner = self._attributes.owner()
        os.lchown(full, *owner)

    def _set_xattr(self, full: bytes) -> None:
        edits.set_xattr(full, "user.day", self._rng.randbytes(self._rng.randint(0, 50)))

    def _grant(self, full: bytes) -> None:
        mode = stat.S_IMODE(os.stat(full).st_mode)
        granted = acl(mode, self._rng.randrange(2**31))
        os.setxattr(full, "system.posix_acl_access", granted)

    def _touch(self, full: bytes) -> None:
        info = os.lstat(full)
        mtime_ns = info.st_mtime_ns
        while mtime_ns == info.st_mtime_ns:
            mtime_ns = self._attributes.mtime_ns()
        os.utime(full, ns=(info.st_atime_ns, mtime_ns), follow_symlinks=False)
