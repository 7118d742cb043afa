"""Tell the members of linked files the outcome of their leaders."""

import struct
from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from haulage.model import ACTION, MANIFEST, Status
from haulage.planning.columns import filled, is_linked
from haulage.planning.merge import HOLDS
from haulage.run.links.election import MEMBER

JOINED = pa.schema(
    [
        pa.field("key", pa.binary(), nullable=False),
        pa.field("status", pa.uint8(), nullable=False),  # of an outcome; 0 of a member
        *MEMBER,
    ]
)
_ORDER = struct.Struct(">I")
_OF_LEADER = [name for name in MANIFEST.names if name != "path"]


def as_outcomes(outcomes: pa.Table, order: int) -> pa.Table:
    """Return the outcomes that may be those of leaders, to be sorted by their key.

    A later outcome of the same path has a higher `order`.
    """
    is_word = outcomes["status"].to_numpy() != Status.PART
    outcomes = outcomes.filter(pa.array(is_word & is_linked(outcomes)))
    tail = b"\0\0" + _ORDER.pack(order)  # no path has a NUL
    keys = [path + tail for path in outcomes["path"].to_pylist()]
    return _joined(keys, outcomes["status"], outcomes)


def as_members(members: pa.Table) -> pa.Table:
    """Return members, to be sorted after the outcomes of their leaders."""
    names = (members[name].to_pylist() for name in ("leader", "path"))
    keys = [b"%b\0\1%b" % each for each in zip(*names, strict=True)]
    none = pa.array(np.zeros(members.num_rows, np.uint8))
    return _joined(keys, none, members)


def _joined(keys: list[bytes], status: pa.Array, rows: pa.Table) -> pa.Table:
    columns = {"key": pa.array(keys, pa.binary()), "status": status}
    columns |= {name: rows[name] for name in rows.schema.names if name != "status"}
    return filled(JOINED, len(keys), columns)


def joined(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Yield the members as actions, with the entry and the proof of their leaders.

    `tables` are JOINED and sorted by key. A member has no `leader` any more if that was
    not made.
    """
    leader = JOINED.empty_table()
    for table in tables:
        table = pa.concat_tables([leader, table]).combine_chunks()  # noqa: PLW2901
        rows = np.arange(table.num_rows)
        is_outcome = table["status"].to_numpy() != 0
        last = np.maximum.accumulate(np.where(is_outcome, rows, -1))
        if last[-1] >= 0:
            leader = table.slice(last[-1], 1)
        members = rows[~is_outcome]
        yield _informed(table, members, last[members])


def _informed(table: pa.Table, rows: np.ndarray, led_by: np.ndarray) -> pa.Table:
    """Return the members in `rows`, whose leaders' outcomes may be in `led_by`."""
    members = table.take(pa.array(rows))
    found = table.take(pa.array(np.maximum(led_by, 0)))
    awaits = members["awaits"].to_numpy()
    is_leader = pc.equal(found["path"], members["leader"])
    was_made = (led_by >= 0) & is_leader.to_numpy()
    was_made &= np.isin(found["status"].to_numpy(), HOLDS)
    takes, lacks = pa.array(awaits & was_made), pa.array(awaits & ~was_made)
    columns = {
        name: pc.if_else(takes, found[name], members[name]) for name in _OF_LEADER
    }
    none = pa.scalar(None, ACTION.field("leader").type)
    columns["leader"] = pc.if_else(lacks, none, members["leader"])
    arrays = [columns.get(name, members[name]) for name in ACTION.names]
    return pa.table(arrays, schema=ACTION)
