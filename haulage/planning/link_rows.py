"""Actions of linked files, with their rank in their group."""

from enum import IntEnum

import numpy as np
import pyarrow as pa

from haulage.model import ACTION


class Rank(IntEnum):
    """How suitable a name is to lead its group, best first; a gone name never leads."""

    GONE = 0
    UNCHANGED = 1
    CHANGED = 2
    NEW = 3


_OF_GROUP = [
    pa.field("was_dev", pa.uint64(), nullable=False),
    pa.field("was_ino", pa.uint64(), nullable=False),
    pa.field("rank", pa.uint8(), nullable=False),
]
LINKS = pa.schema([*ACTION, *_OF_GROUP])
NO_LINKS = LINKS.empty_table()


def with_rank(
    actions: pa.Table, rank: np.ndarray, was: pa.Table | None = None
) -> pa.Table:
    """Give actions their rank, and the inode under which they were known."""
    nothing = pa.array(np.zeros(actions.num_rows, np.uint64))
    dev, ino = (was["dev"], was["ino"]) if was is not None else (nothing, nothing)
    columns = [*actions.columns, dev, ino, pa.array(rank.astype(np.uint8))]
    return pa.table(columns, schema=LINKS)
