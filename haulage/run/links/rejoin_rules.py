"""Decide which names to link again that a bucket holds as separate objects.

Names belong together if the metadata of their objects notes the same inode. Each is
first copied by itself: only then is it known which of them are equal in content and
attributes, and so may be one file.
"""

import struct
from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from haulage.model import ACTION, MANIFEST, Verb
from haulage.planning.columns import filled, is_file, is_linked

KIN = pa.schema([pa.field("key", pa.binary(), nullable=False), *MANIFEST])
_ALIKE = ("checksum", "size", "mtime_s", "mtime_ns", "mode", "uid", "gid")
_KEY = struct.Struct(">QQ16sqqIHII")  # device and inode, and what makes names alike


def as_kin(entries: pa.Table) -> pa.Table:
    """Return the entries that may have other names, to be sorted by their key.

    Of equal names those come first that earlier runs have linked.
    """
    entries = entries.select(MANIFEST.names)
    kin = entries.filter(pa.array(is_linked(entries) & is_file(entries)))
    names = ("dev", "ino", *_ALIKE)
    alike = zip(*(kin[name].to_pylist() for name in names), strict=True)
    rows = zip(alike, kin["racy"].to_pylist(), kin["path"].to_pylist(), strict=True)
    keys = [_packed(*row) + b"%d" % racy + path for row, racy, path in rows]
    return pa.table([pa.array(keys, pa.binary()), *kin.columns], schema=KIN)


def _packed(dev: int, ino: int, checksum: bytes | None, *others: int) -> bytes:
    return _KEY.pack(dev, ino, checksum or b"", *others)


def rejoined(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Yield a link for every name that no run has linked with its others.

    `tables` are KIN and sorted by key. The first of equal names leads. A name leads
    itself alone if it has no equal, or if its content is unknown.
    """
    leader = KIN.empty_table()
    for table in tables:
        carried = leader.num_rows
        table = pa.concat_tables([leader, table]).combine_chunks()  # noqa: PLW2901
        led_by = _led_by(table)
        rows = np.arange(carried, table.num_rows)
        rows = rows[table["racy"].to_numpy()[carried:]]
        yield _links(table.take(pa.array(rows)), table.take(pa.array(led_by[rows])))
        leader = table.slice(led_by[-1], 1)


def _led_by(table: pa.Table) -> np.ndarray:
    """Return the row of each row's leader; the first row is a leader."""
    keys, checksums = (table[name].to_pylist() for name in ("key", "checksum"))
    found = []
    first, family = 0, b""
    for row, (key, checksum) in enumerate(zip(keys, checksums, strict=True)):
        mine = key if checksum is None else key[: _KEY.size]
        if mine != family:
            first, family = row, mine
        found.append(first)
    return np.array(found, np.int64)


def _links(members: pa.Table, leaders: pa.Table) -> pa.Table:
    """Return the link actions; each counts as verified no further than its leader."""
    rows = members.num_rows
    given = {
        "verb": pa.array(np.full(rows, Verb.HARD, np.uint8)),
        "leader": leaders["path"],
        "verified": pc.min_element_wise(members["verified"], leaders["verified"]),
        "racy": pa.array(np.zeros(rows, np.bool_)),
    }
    known = {name: members[name] for name in MANIFEST.names}
    return filled(ACTION, rows, known | given)
