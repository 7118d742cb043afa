"""Find entries that lost their name in a run: a tree holds only one of `d` and `d/`.

Whatever has a name took it from the entry before, with an outcome or without one: a
rename replaces an empty directory, and making a directory, or anything below one,
replaces a file. In canonical order any number of entries lie between `d` and `d/`.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from haulage.disksort import DiskSort
from haulage.paths import other_form, parent_of
from haulage.planning.merge import HOLDS, PATHS, Stream, next_end
from haulage.run.manifest.lookup import KnownNames

LOOKED_AT = ("path", "status")  # of outcomes


class Taken:
    """The paths that, by a run's outcomes, the target no longer holds."""

    def __init__(self, known: KnownNames, spool: Path) -> None:
        """Start without outcomes; `known` is what the target held before."""
        self._known = known
        self._paths = DiskSort(spool, PATHS, "path")
        self._nest: list[bytes] = []
        self._torn: set[bytes] = set()  # of these

    def look(self, streams: Sequence[Stream]) -> Iterator[list[bytes]]:
        """Read all outcomes; yield the files below which there are entries as well.

        The source has changed during a resumed run. It is unknown which of them the
        target holds, so both leave the manifest.
        """
        while (upto := next_end(streams)) is not None:
            held = _held(streams, upto)
            for paths in _replaced(held, self._known):
                self._add(paths)
            if torn := list(self._torn_by(held)):
                yield torn

    def tables(self) -> Iterator[pa.Table]:
        """Yield each path once, in canonical order."""
        return self._paths.tables()

    def _add(self, paths: list[bytes]) -> None:
        self._paths.add(pa.table([pa.array(paths, pa.binary())], schema=PATHS))

    def _torn_by(self, held: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the files that have entries of `held` below them, each once.

        Only files whose names a path begins with can have entries below them still to
        come. They are never more than a path has components.
        """
        for path in held:
            while self._nest and not path.startswith(self._nest[-1]):
                self._torn.discard(self._nest.pop())
            for name in self._nest:
                if path.startswith(b"/", len(name)):
                    self._add([name, path])
                    if name not in self._torn:
                        yield name
                    self._torn.add(name)
            if path and not path.endswith(b"/"):
                self._nest.append(path)


def _held(streams: Iterable[Stream], upto: bytes) -> list[bytes]:
    """Return what the target holds by the outcomes up to a path, in order."""
    holds = pa.array(HOLDS, pa.uint8())
    held = set[bytes]()
    for stream in streams:
        for table in stream.take(upto):
            is_held = pc.is_in(table["status"], holds)
            held.update(table["path"].filter(is_held).to_pylist())
    return sorted(held)


def _replaced(held: list[bytes], known: KnownNames) -> Iterator[list[bytes]]:
    """Yield known entries that present ones have replaced."""
    yield list(known.among(map(other_form, _dirs_of(held))))
    files = (path for path in held if path and not path.endswith(b"/"))
    for directory in known.among(map(other_form, files)):
        for paths in known.below(directory):
            yield paths.to_pylist()


def _dirs_of(held: Iterable[bytes]) -> set[bytes]:
    """Return the directories above all of `held`, except the root."""
    dirs = set[bytes]()
    for path in held:
        above = path if path.endswith(b"/") else parent_of(path)
        while above and above not in dirs:
            dirs.add(above)
            above = parent_of(above)
    return dirs
