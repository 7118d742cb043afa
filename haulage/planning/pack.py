"""Cut actions into shards of about equal cost."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa

from haulage.model import Verb
from haulage.place import part_bytes
from haulage.planning.columns import with_columns

_READS_CONTENT = (Verb.COPY, Verb.CHECK, Verb.VERIFY, Verb.REPLACE)
_MOST_PARTS = 64  # of a file, which may be a tebibyte of nothing but holes,
_PARTS_A_MOVER = 4  # unless there are movers for more
_SMALLEST_SHARE = 256  # entries; cutting finer costs more than it spreads


@dataclass(frozen=True, slots=True)
class Bounds:
    """How large a shard may be, and how many movers wait for one."""

    max_entries: int
    max_bytes: int
    movers: int
    splits: bool = True  # whether larger files are cut into parts

    @property
    def entry_cost(self) -> int:
        """Return the cost of an entry besides its bytes, in bytes.

        With the default bounds about 100 kB: what a local mover copies in the time that
        it needs to open, name and close a file.
        """
        return max(1, self.max_bytes // (2 * self.max_entries))


def costs(actions: pa.Table, bounds: Bounds) -> np.ndarray:
    """Return what each action costs, in bytes."""
    reads = np.isin(actions["verb"].to_numpy(), _READS_CONTENT)
    return np.where(reads, actions["length"].to_numpy(), 0) + bounds.entry_cost


def pack(actions: pa.Table, bounds: Bounds) -> Iterator[pa.Table]:
    """Yield shards: runs of about equal cost, and each part of a large file."""
    large = _is_large(actions, bounds)
    yield from _balanced(actions.filter(pa.array(~large)), bounds)
    for row in np.flatnonzero(large):
        yield from _parts(actions.slice(row, 1), bounds)


def _is_large(actions: pa.Table, bounds: Bounds) -> np.ndarray:
    is_copy = actions["verb"].to_numpy() == Verb.COPY
    length = actions["length"].to_numpy()
    most = max(bounds.max_bytes, part_bytes(0))
    large: np.ndarray = bounds.splits & is_copy & (length > most)
    return large


def _balanced(actions: pa.Table, bounds: Bounds) -> Iterator[pa.Table]:
    rows = actions.num_rows
    if not rows:
        return
    running = costs(actions, bounds).cumsum()
    shards = max(
        math.ceil(rows / bounds.max_entries),
        math.ceil(int(running[-1]) / bounds.max_bytes),
        min(bounds.movers, rows // _SMALLEST_SHARE),
    )
    borders = running[-1] * np.arange(1, shards) / shards
    cuts = [0, *np.searchsorted(running, borders), rows]
    for start, end in pairwise(cuts):
        for at in range(start, end, bounds.max_entries):
            yield actions.slice(at, min(bounds.max_entries, end - at))


def _parts(action: pa.Table, bounds: Bounds) -> Iterator[pa.Table]:
    """Split one copy into parts of about equal length, at borders of its ranges."""
    size = action["length"][0].as_py()
    most = max(_MOST_PARTS, _PARTS_A_MOVER * bounds.movers)
    count = min(most, math.ceil(size / bounds.max_bytes))
    unit = part_bytes(size)
    units = math.ceil(size / unit)
    cuts = [min(size, units * part // count * unit) for part in range(count)]
    for start, end in pairwise([*cuts, size]):
        if end > start:
            yield with_columns(
                action,
                verb=pa.array([Verb.PART], pa.uint8()),
                offset=pa.array([start], pa.int64()),
                length=pa.array([end - start], pa.int64()),
            )
