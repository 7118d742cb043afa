"""Walk a tree by directory descriptors, never through a symbolic link."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_TREE_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


@contextmanager
def opened(name: bytes, dir_fd: int | None = None) -> Iterator[int]:
    """Hold a directory open and give its descriptor."""
    fd = os.open(name, _TREE_FLAGS, dir_fd=dir_fd)
    try:
        yield fd
    finally:
        os.close(fd)


def entries_of(root: Path) -> list[Path]:
    """Return what a directory has, sorted, but for the mark that Haulage leaves."""
    with opened(os.fsencode(root)) as fd:
        return [root / os.fsdecode(name) for name in sorted(names_in(fd))]


def names_in(fd: int) -> set[bytes]:
    """Return the names in a directory, but for the mark that Haulage leaves."""
    names = map(os.fsencode, os.listdir(fd))
    return {name for name in names if not name.startswith(b".haulage-state-")}


def lstat(name: bytes, dir_fd: int) -> os.stat_result:
    """Return what is known of the entry itself, not of what a link points to."""
    return os.stat(name, dir_fd=dir_fd, follow_symlinks=False)


def below(fd: int, above: bytes = b"") -> Iterator[tuple[bytes, os.stat_result]]:
    """Yield path and stat of all that is below a directory, sorted by name."""
    for name in sorted(names_in(fd)):
        info = lstat(name, fd)
        yield above + name, info
        if stat.S_ISDIR(info.st_mode):
            with opened(name, fd) as inner:
                yield from below(inner, above + name + b"/")
