"""Names on a file system that treats several spellings as one name.

SMB, APFS, NTFS and others fold case, or forms of one character, and keep the first
spelling used. A name is found by another spelling as well, so only a directory's
listing shows how it is spelled.
"""

import os
import time
import unicodedata
from collections import OrderedDict
from contextlib import suppress
from typing import Protocol

from haulage.paths import parent_of

_TRIED = ("a\u00e9", "A\u00e9", "ae\u0301")  # one name, if case or forms are folded
_OF_LATE_NS = 86_400 * 1_000_000_000
_KEPT = 16  # directories whose names a mover has at hand


class Opens(Protocol):
    """Opens the directories of a tree."""

    def open(self, path: bytes) -> int:
        """Return a descriptor of a directory."""
        ...

    def forget(self, below: bytes = b"") -> None:
        """Close cached descriptors."""
        ...


def folded(name: bytes) -> bytes:
    """Return a form that is equal for names which any file system may treat as one."""
    text = unicodedata.normalize("NFD", name.decode("utf-8", "surrogateescape"))
    text = unicodedata.normalize("NFC", text.casefold())
    return text.encode("utf-8", "surrogateescape")


class Probe:
    """Tests which names a root treats as one; its times stay as they are."""

    def __init__(self, root: str, token: str) -> None:
        """Include the run's token in the names of the test."""
        self._root = root
        self._prefix = f".haulage-{token}-".encode()

    def folds(self) -> bool:
        """Tell whether there are names that the root treats as one."""
        first, *others = (os.fsencode(name) for name in _TRIED)
        return any(self.are_one(first, other) for other in others)

    def are_one(self, first: bytes, second: bytes) -> bool:
        """Tell whether the root treats both as one name."""
        root = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        before = os.fstat(root)
        name = self._prefix + first
        try:
            os.close(os.open(name, os.O_CREAT | os.O_WRONLY, 0o600, dir_fd=root))
            os.stat(self._prefix + second, dir_fd=root, follow_symlinks=False)
        except FileNotFoundError:
            return False
        except OSError:  # too long with the prefix, or nothing may be made here
            return folded(first) == folded(second) and first not in map(
                os.fsencode, _TRIED
            )
        else:
            return True
        finally:
            with suppress(OSError):
                os.unlink(name, dir_fd=root)
                os.utime(root, ns=(before.st_atime_ns, before.st_mtime_ns))
            os.close(root)

    def clear(self) -> None:
        """Remove the file of a test that was killed."""
        for name in _TRIED:
            with suppress(OSError):
                os.unlink(
                    os.path.join(
                        os.fsencode(self._root), self._prefix + os.fsencode(name)
                    )
                )


class Spelling:
    """Knows how names below a target are spelled, and corrects them.

    Whether it `folds` was tested in the root; a directory below may still do so, so
    recent changes, such as this run's, are checked as well.
    """

    def __init__(self, descent: Opens, *, folds: bool) -> None:
        """Read nothing before a name is asked for."""
        self._descent = descent
        self.folds = folds
        self._kept: OrderedDict[bytes, dict[bytes, set[bytes]]] = OrderedDict()

    def is_another(self, path: bytes, found: os.stat_result) -> bool:
        """Tell whether the entry found at `path` has another name."""
        if not self.folds and time.time_ns() - found.st_ctime_ns > _OF_LATE_NS:
            return False
        while path:
            above = parent_of(path)
            name = path[len(above) :].rstrip(b"/")
            if name not in self._names(above).get(folded(name), ()):
                return True
            path = above
        return False

    def settle(self, path: bytes, temp: bytes) -> None:
        """Correct the spelling of the entry just made at `path`."""
        above = parent_of(path)
        name = path[len(above) :].rstrip(b"/")
        spelt = self._names(above).setdefault(folded(name), set())
        others = spelt - {name}
        spelt.add(name)
        if not others:
            return
        dir_fd = self._descent.open(above)
        if name in map(os.fsencode, os.listdir(dir_fd)):
            return
        self._descent.forget(path)
        for other in others:
            with suppress(FileNotFoundError):
                os.rename(other, name, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
        if name not in map(os.fsencode, os.listdir(dir_fd)):
            os.rename(name, temp, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
            os.rename(temp, name, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
        self._kept.pop(above, None)

    def _names(self, directory: bytes) -> dict[bytes, set[bytes]]:
        if directory in self._kept:
            self._kept.move_to_end(directory)
            return self._kept[directory]
        found: dict[bytes, set[bytes]] = {}
        for name in map(os.fsencode, os.listdir(self._descent.open(directory))):
            found.setdefault(folded(name), set()).add(name)
        self._kept[directory] = found
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return found
