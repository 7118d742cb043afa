"""Remove temporaries of which only the name's beginning is known."""

import os
import stat
from collections.abc import Callable, Collection

from haulage.paths import parent_of
from haulage.storage.tree.descent import Descent
from haulage.storage.tree.files import remove_if_there
from haulage.storage.tree.ours import is_trash

Span = tuple[bytes, bytes]


def remove_strays(
    root: str,
    prefixes: tuple[bytes, ...],
    spans: Collection[Span],
    check: Callable[[], None],
) -> int:
    """Remove entries with these prefixes beside the entries of `spans`.

    A span is a first and last path. Return the number removed. `check` is called for
    every directory.
    """
    try:
        tree = Descent(root)
    except FileNotFoundError:
        return 0
    count, waiting = 0, [b""]
    try:
        while waiting:
            check()
            above = waiting.pop()
            strays, dirs = _found_in(tree, above, prefixes)
            count += sum(_remove(tree, above, name) for name in strays)
            waiting += [path for path in dirs if _may_hold(path, spans)]
    finally:
        tree.close()
    return count


def _found_in(
    tree: Descent, above: bytes, prefixes: tuple[bytes, ...]
) -> tuple[list[bytes], list[bytes]]:
    """Return the strays in a directory by name, and its directories by path."""
    strays, dirs = [], []
    try:
        with os.scandir(tree.open(above)) as entries:
            for entry in entries:
                name = os.fsencode(entry.name)
                if name.startswith(prefixes):
                    strays.append(name)
                elif entry.is_dir(follow_symlinks=False) and not is_trash(name):
                    dirs.append(above + name + b"/")
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return [], []
    return strays, dirs


def _remove(tree: Descent, above: bytes, name: bytes) -> bool:
    """Remove one; a directory only if it is empty, as ours are."""
    dir_fd = tree.open(above)
    try:
        found = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
        if stat.S_ISDIR(found.st_mode):
            os.rmdir(name, dir_fd=dir_fd)
        else:
            remove_if_there(dir_fd, name)
    except OSError:  # whoever may not remove it could not have made it
        return False
    return True


def _may_hold(path: bytes, spans: Collection[Span]) -> bool:
    """Tell whether entries of a span are, or were, in or below a directory."""
    return any(
        path <= last and (path >= parent_of(first) or first.startswith(path))
        for first, last in spans
    )
