"""Brings together what is known of the directories that a run touched."""

from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import NamedTuple

import pyarrow as pa

TOUCHED = pa.schema([pa.field("key", pa.binary(), nullable=False)])
# The order of turned paths is the reverse of that of paths: the deepest come first.
_TURNED = bytes(range(255, -1, -1))
_END = b"\xff"  # no path has a NUL, so no turned one has this


class Word(IntEnum):
    """What is said of a directory; of several words the first one here counts."""

    NOT_OURS = 0  # nothing is to be done about it, whatever else is said
    IMPLIED = 1  # it was made, and no object at the source stands for it
    MOVED = 2  # it was made, or its times were moved by what happened in it


class Finishable(NamedTuple):
    """Directories, the deepest first, and an etag where an object stands for one."""

    paths: pa.Array
    etags: pa.Array


def said(paths: Iterable[bytes], word: Word) -> pa.Table:
    """Return rows that say `word` of each directory, to be sorted by their key."""
    tail = _END + bytes([word])
    keys = [path.translate(_TURNED) + tail for path in paths]
    return pa.table([pa.array(keys, pa.binary())], schema=TOUCHED)


def finishable(tables: Iterable[pa.Table]) -> Iterator[Finishable]:
    """Yield each directory once, the root last.

    `tables` are TOUCHED and sorted by key.
    """
    last = None
    for table in tables:
        paths: list[bytes] = []
        etags: list[bytes | None] = []
        for key in table["key"].to_pylist():
            turned, word = key[:-2], key[-1]
            if turned != last and word != Word.NOT_OURS:
                paths.append(turned.translate(_TURNED))
                etags.append(None if word == Word.IMPLIED else b"")
            last = turned
        yield Finishable(pa.array(paths, pa.binary()), pa.array(etags, pa.binary()))
