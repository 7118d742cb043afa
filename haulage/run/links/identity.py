"""Find the names in a manifest that are one file, for verifying a target."""

import struct
from collections.abc import Iterable, Iterator

import pyarrow as pa

from haulage.model import MANIFEST

LED = pa.schema([*MANIFEST, pa.field("leader", pa.binary())])
WITH_IDENTITY = pa.schema([pa.field("key", pa.binary(), nullable=False), *MANIFEST])
# Names that went apart since (one failed, one stayed when it was gone at the source)
# may have the same inode in the manifest still, but not the same change time.
_IDENTITY = ("dev", "ino", "ctime_s", "ctime_ns", "mtime_s", "mtime_ns", "size")
_KEY = struct.Struct(">QQqIqIq")


def with_identity(entries: pa.Table) -> pa.Table:
    """Put the key first by which the names of a file are sorted together."""
    columns = (entries[name].to_pylist() for name in (*_IDENTITY, "path"))
    keys = [_KEY.pack(*row[:-1]) + row[-1] for row in zip(*columns, strict=True)]
    return pa.table(
        [pa.array(keys, pa.binary()), *entries.columns], schema=WITH_IDENTITY
    )


def led(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Yield manifest entries whose `leader` is the first name of the same file.

    The first name has no leader. `tables` are WITH_IDENTITY and sorted by key.
    """
    identity, leader = b"", b""
    for table in tables:
        leaders: list[bytes | None] = []
        keys, paths = table["key"].to_pylist(), table["path"].to_pylist()
        for key, path in zip(keys, paths, strict=True):
            if key[: _KEY.size] != identity:
                identity, leader = key[: _KEY.size], path
            leaders.append(None if path == leader else leader)
        columns = table.select(MANIFEST.names).columns
        yield pa.table([*columns, pa.array(leaders, pa.binary())], schema=LED)
