"""The directories that a run touched, and what each of them needs at its end."""

from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import NamedTuple

import pyarrow as pa

TOUCHED = pa.schema([pa.field("key", pa.binary(), nullable=False)])
# The order of turned paths is the reverse of that of paths: the deepest come first.
_TURNED = bytes(range(255, -1, -1))
_END = b"\xff"  # no path has a NUL, so no turned one has this


class Effect(IntEnum):
    """How a run affected a directory; of several effects the first one here counts."""

    NOT_OURS = 0  # nothing is to be done about it, whatever else happened
    IMPLIED = 1  # it was made, and no object at the source stands for it
    MOVED = 2  # it was made, or its times were moved by what happened in it


class Finishable(NamedTuple):
    """Directories, the deepest first, and the etag of an object for each, if any."""

    paths: pa.Array
    etags: pa.Array


def with_effect(paths: Iterable[bytes], effect: Effect) -> pa.Table:
    """Return one row a directory with its `effect`, to be sorted by key."""
    tail = _END + bytes([effect])
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
            turned, effect = key[:-2], key[-1]
            if turned != last and effect != Effect.NOT_OURS:
                paths.append(turned.translate(_TURNED))
                etags.append(None if effect == Effect.IMPLIED else b"")
            last = turned
        yield Finishable(pa.array(paths, pa.binary()), pa.array(etags, pa.binary()))
