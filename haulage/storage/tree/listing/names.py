"""The names in a directory in plain byte order: in memory, or in a file."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from pathlib import Path

import pyarrow as pa

from haulage.disksort import DiskSort, write_batches

MOST_IN_MEMORY = 1_000_000  # some 130 MB
_AT_ONCE = 10_000  # held as text and as bytes
_NAMES = pa.schema([pa.field("name", pa.binary())])


class StoredNames:
    """Names in a mapped file, so that the kernel may drop them from memory."""

    def __init__(self, file: Path) -> None:
        """Map the file, which may then be removed."""
        with pa.memory_map(os.fspath(file)) as source:
            self._names = pa.ipc.open_file(source).read_all()["name"]
        self._count = len(self._names)

    def __len__(self) -> int:
        """Return how many names there are."""
        return self._count

    def __getitem__(self, at: int) -> bytes:
        """Return one name."""
        if at >= self._count:
            raise IndexError(at)
        name: bytes = self._names[at].as_py()
        return name

    def __delitem__(self, rest: slice) -> None:
        """Drop all names from the start of `rest`."""
        self._count = rest.start


Names = list[bytes] | StoredNames


def names_in(fd: int) -> Iterator[list[bytes]]:
    """Yield the names in a directory, some at a time; directories with their slash."""
    with os.scandir(fd) as listing:
        names = (
            entry.name + "/" if entry.is_dir(follow_symlinks=False) else entry.name
            for entry in listing
        )
        while some := list(islice(names, _AT_ONCE)):
            yield os.fsencode("\0".join(some)).split(b"\0")


def sorted_names(
    fd: int, wanted: Callable[[list[bytes]], list[bytes]], spool: Path | None
) -> Names:
    """Return those names in a directory that `wanted` keeps, in order.

    Very many are sorted in a directory of `spool`, if there is one.
    """
    held: list[bytes] = []
    listing = names_in(fd)
    for some in listing:
        held += wanted(some)
        if spool is not None and len(held) > MOST_IN_MEMORY:
            return _stored(chain([held], map(wanted, listing)), spool)
    held.sort()
    return held


def _stored(parts: Iterable[list[bytes]], spool: Path) -> StoredNames:
    place = Path(tempfile.mkdtemp(prefix="names-", dir=spool))
    try:
        names = DiskSort(place, _NAMES, "name")
        for part in parts:
            names.add(pa.table([part], schema=_NAMES))
        write_batches(place / "all.arrow", _NAMES, names.tables())
        return StoredNames(place / "all.arrow")
    finally:
        shutil.rmtree(place)
