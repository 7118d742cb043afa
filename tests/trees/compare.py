"""Compare two trees exactly, by the calls of `os` alone.

The walk opens each pair of directories and compares sets of names, unlike the merge of
sorted streams that it is there to judge. `python -m tests.trees.compare A B` prints the
differences and exits with 1 if there are any.
"""

import argparse
import errno
import os
import re
import stat
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, NamedTuple

from tests.trees.names import ZERO_TOKEN
from tests.trees.walk import below, lstat, names_in, opened

_FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW
_CHUNK_BYTES = 1 << 20
_ALL_READ_BYTES = 64 << 20  # of a file; what comes behind may be terabytes of holes
_SHOWN_LINES = 20
_MOST_ROOM = 128 << 10  # bytes that a copy may be allocated more than its source
_OF_THE_SYSTEM = ("security.selinux", "trusted.SGI_ACL_FILE", "trusted.SGI_ACL_DEFAULT")
_TEMPORARY = re.compile(rb"\.haulage-([0-9a-f]{12})-.*", re.DOTALL)
_RSYNC = (
    *("rsync", "-aHnci", "--delete", "--numeric-ids", "--modify-window=-1"),
    "--exclude=/.haulage-state-*",  # the mark of each dataset
)


class Aspect(StrEnum):
    """What two entries of one path can differ in."""

    TYPE = "type"
    MODE = "mode"
    UID = "uid"
    GID = "gid"
    SIZE = "size"
    CONTENT = "content"
    MTIME = "mtime"
    TARGET = "target"
    DEVICE = "device"
    HOLES = "holes"  # b takes far more room than a
    XATTRS = "xattrs"  # ACLs are among them
    LINKS = "links"  # which names are of one file


OWNER = frozenset({Aspect.UID, Aspect.GID})
MISSING, EXTRA = "missing", "extra"  # only in a, only in b


class Difference(NamedTuple):
    """One thing in which two trees are not equal; `what` is an Aspect or a word."""

    path: bytes
    what: str
    details: str = ""

    def __str__(self) -> str:
        """Say it in one line of ASCII."""
        return f"{shown(self.path)}: {self.what}{self.details}"


def differences(
    a: Path | str, b: Path | str, *, ignore: frozenset[Aspect] = frozenset()
) -> list[str]:
    """Return a line for each difference between the trees, their roots included.

    A line is `path: aspect in a != in b`, `path: missing` (only in a) or `path: extra`
    (only in b); everything below a missing or extra directory has its own line."""
    return [str(each) for each in all_differences(a, b, ignore)]


def all_differences(
    a: Path | str, b: Path | str, ignore: frozenset[Aspect] = frozenset()
) -> list[Difference]:
    """Return each difference between the trees, as above."""
    return list(_Comparer(ignore).roots(os.fsencode(a), os.fsencode(b)))


def assert_same(
    source: Path | str, target: Path | str, *, ignore: frozenset[Aspect] = frozenset()
) -> None:
    """Fail with the first differences if the trees are not equal."""
    lines = differences(source, target, ignore=ignore)
    head = "\n".join(lines[:_SHOWN_LINES])
    assert not lines, f"{len(lines)} differences of {target} from {source}:\n{head}"


def leftovers(root: Path | str) -> list[bytes]:
    """Return the paths of temporaries, without those that were planted on purpose."""
    with opened(os.fsencode(root)) as top:
        return [path for path, _ in below(top) if _is_temporary(path)]


def rsync_differences(a: Path | str, b: Path | str, *options: str) -> list[str]:
    """Return what a dry run of rsync would change to make `b` equal to `a`."""
    ends = [os.path.join(os.path.abspath(end), "") for end in (a, b)]
    done = subprocess.run([*_RSYNC, *options, *ends], check=True, capture_output=True)
    return done.stdout.decode("utf-8", "backslashreplace").splitlines()


def shown(path: bytes) -> str:
    """Return `path` as it stands in the lines: one line, ASCII, `.` for the root."""
    return repr(path)[2:-1] if path else "."


def _is_temporary(path: bytes) -> bool:
    match = _TEMPORARY.fullmatch(path.rpartition(b"/")[2])
    return match is not None and match[1] != ZERO_TOKEN


def _type(mode: int) -> str:
    names = {stat.S_IFREG: "file", stat.S_IFDIR: "dir", stat.S_IFLNK: "symlink"}
    return names.get(stat.S_IFMT(mode), f"special {stat.S_IFMT(mode):#o}")


class _Names:
    """The names in one tree of each file, by the paths that both trees have."""

    def __init__(self) -> None:
        self._of: dict[tuple[int, int], list[bytes]] = defaultdict(list)
        self._inodes: dict[bytes, tuple[int, int]] = {}

    def add(self, path: bytes, info: os.stat_result) -> None:
        self._inodes[path] = (info.st_dev, info.st_ino)
        self._of[info.st_dev, info.st_ino].append(path)

    def group(self, path: bytes) -> str:
        """Say how many names the file has, and the first of them."""
        names = self._of[self._inodes[path]]
        return f"{len(names)} from {shown(names[0])}"


class _Comparer:
    """Walks two trees at once."""

    def __init__(self, ignore: frozenset[Aspect]) -> None:
        self._ignore = ignore
        self._linked: list[bytes] = []
        self._names = (_Names(), _Names())

    def roots(self, a: bytes, b: bytes) -> Iterator[Difference]:
        with opened(a) as in_a, opened(b) as in_b:
            yield from self._stats(b"", os.fstat(in_a), os.fstat(in_b))
            yield from self._xattrs(b"", b".", in_a, in_b)
            yield from self._inside(b"", in_a, in_b)
        for path in self._linked:
            groups = [names.group(path) for names in self._names]
            yield from self._line(path, Aspect.LINKS, *groups)

    def _inside(self, above: bytes, a: int, b: int) -> Iterator[Difference]:
        names_a, names_b = names_in(a), names_in(b)
        for name in sorted(names_a | names_b):
            path = above + name
            if name not in names_b:
                yield Difference(path, MISSING)
                yield from _all_below(path, name, a, MISSING)
            elif name not in names_a:
                yield Difference(path, EXTRA)
                yield from _all_below(path, name, b, EXTRA)
            else:
                yield from self._pair(path, name, a, b)

    def _pair(self, path: bytes, name: bytes, a: int, b: int) -> Iterator[Difference]:
        in_a, in_b = lstat(name, a), lstat(name, b)
        yield from self._stats(path, in_a, in_b)
        yield from self._xattrs(path, name, a, b)
        kind = stat.S_IFMT(in_a.st_mode)
        if kind != stat.S_IFMT(in_b.st_mode):
            yield from _all_below(path, name, a, MISSING)
            yield from _all_below(path, name, b, EXTRA)
        elif kind == stat.S_IFDIR:
            with opened(name, a) as fd_a, opened(name, b) as fd_b:
                yield from self._inside(path + b"/", fd_a, fd_b)
        else:
            self._note_names(path, in_a, in_b)
            yield from self._what_it_holds(path, name, a, b)

    def _what_it_holds(
        self, path: bytes, name: bytes, a: int, b: int
    ) -> Iterator[Difference]:
        in_a, in_b = lstat(name, a), lstat(name, b)
        if stat.S_ISLNK(in_a.st_mode):
            ends = [shown(os.readlink(name, dir_fd=fd)) for fd in (a, b)]
            yield from self._line(path, Aspect.TARGET, *ends)
        elif stat.S_ISREG(in_a.st_mode):
            if Aspect.CONTENT not in self._ignore:
                yield from _contents(path, name, a, b)
        else:
            yield from self._line(path, Aspect.DEVICE, in_a.st_rdev, in_b.st_rdev)

    def _note_names(self, path: bytes, a: os.stat_result, b: os.stat_result) -> None:
        """Keep in mind what is no directory and has more names in either tree."""
        if a.st_nlink > 1 or b.st_nlink > 1:
            self._linked.append(path)
            for names, info in zip(self._names, (a, b), strict=True):
                names.add(path, info)

    def _stats(
        self, path: bytes, a: os.stat_result, b: os.stat_result
    ) -> Iterator[Difference]:
        modes = [f"{stat.S_IMODE(info.st_mode):04o}" for info in (a, b)]
        yield from self._line(path, Aspect.TYPE, _type(a.st_mode), _type(b.st_mode))
        yield from self._line(path, Aspect.MODE, *modes)
        yield from self._line(path, Aspect.UID, a.st_uid, b.st_uid)
        yield from self._line(path, Aspect.GID, a.st_gid, b.st_gid)
        yield from self._line(path, Aspect.MTIME, a.st_mtime_ns, b.st_mtime_ns)
        if stat.S_ISREG(a.st_mode) and stat.S_ISREG(b.st_mode):
            yield from self._line(path, Aspect.SIZE, a.st_size, b.st_size)
            room = a.st_blocks * 512 + _MOST_ROOM
            if b.st_blocks * 512 > room:  # allocation is in blocks, by guess
                yield from self._line(path, Aspect.HOLES, a.st_blocks, b.st_blocks)

    def _xattrs(self, path: bytes, name: bytes, a: int, b: int) -> Iterator[Difference]:
        in_a, in_b = (_xattrs_of(b"/proc/self/fd/%d/%s" % (fd, name)) for fd in (a, b))
        yield from self._line(path, Aspect.XATTRS, in_a, in_b)

    def _line(
        self, path: bytes, aspect: Aspect, in_a: object, in_b: object
    ) -> Iterator[Difference]:
        if in_a != in_b and aspect not in self._ignore:
            yield Difference(path, aspect, f" {in_a} != {in_b}")


def _xattrs_of(path: bytes) -> list[tuple[str, bytes]]:
    """Return an entry's extended attributes, but not the system's own ones."""
    names = sorted(os.listxattr(path, follow_symlinks=False))
    return [
        (name, os.getxattr(path, name, follow_symlinks=False))
        for name in names
        if name not in _OF_THE_SYSTEM
    ]


def _all_below(path: bytes, name: bytes, fd: int, word: str) -> Iterator[Difference]:
    if stat.S_ISDIR(lstat(name, fd).st_mode):
        with opened(name, fd) as inner:
            for found, _ in below(inner, path + b"/"):
                yield Difference(found, word)


def _contents(path: bytes, name: bytes, a: int, b: int) -> Iterator[Difference]:
    """Compare two files to the end of the shorter one; the size has its own line."""
    with _reading(name, a) as file_a, _reading(name, b) as file_b:
        offset = 0
        while True:
            chunk_a, chunk_b = file_a.read(_CHUNK_BYTES), file_b.read(_CHUNK_BYTES)
            shorter = min(len(chunk_a), len(chunk_b))
            if chunk_a[:shorter] != chunk_b[:shorter]:
                at = offset + _first_difference(chunk_a, chunk_b)
                details = f" differs from byte {at} on"
                yield Difference(path, Aspect.CONTENT, details)
                return
            if shorter < _CHUNK_BYTES:
                return
            offset += shorter
            if offset >= _ALL_READ_BYTES:
                offset = _pass_holes(offset, file_a, file_b)


def _pass_holes(offset: int, *files: BinaryIO) -> int:
    """Go on where any of the files has data again, or at its end."""
    starts = []
    for file in files:
        try:
            starts.append(os.lseek(file.fileno(), offset, os.SEEK_DATA))
        except OSError as err:
            if err.errno != errno.ENXIO:  # behind the last data
                raise
            starts.append(os.fstat(file.fileno()).st_size)
    for file in files:
        file.seek(min(starts))
    return min(starts)


def _reading(name: bytes, dir_fd: int) -> BinaryIO:
    return open(os.open(name, _FILE_FLAGS, dir_fd=dir_fd), "rb")


def _first_difference(a: bytes, b: bytes) -> int:
    pairs = zip(a, b, strict=False)
    return next(at for at, (in_a, in_b) in enumerate(pairs) if in_a != in_b)


def main(arguments: list[str] | None = None) -> int:
    """Print the differences of two trees; return 1 if there are any, 0 if none."""
    parser = argparse.ArgumentParser(description="Compare two trees exactly.")
    parser.add_argument("a", type=Path)
    parser.add_argument("b", type=Path)
    trees = parser.parse_args(arguments)
    lines = differences(trees.a, trees.b)
    for line in lines:
        print(line)
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
