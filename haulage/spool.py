"""What listers hand to their consumer: page files, and paths inside lines of JSON."""

import os
from pathlib import Path

import pyarrow as pa

HUNGER_FILE = "hunger"
HUNGER_BYTES = 8  # of the shared file in which the consumer says that a lister is idle


def to_text(path: bytes) -> str:
    """Return `path` as text that JSON carries unharmed and that sorts as it does."""
    return path.hex()


def from_text(text: str) -> bytes:
    """Return the path that `to_text` made `text` of."""
    return bytes.fromhex(text)


def write_page(file: Path, entries: pa.Table) -> None:
    """Write a page; its line is told to the consumer only after this returned."""
    with (
        pa.OSFile(os.fspath(file), "wb") as sink,
        pa.ipc.new_file(sink, entries.schema) as out,
    ):
        out.write_table(entries)


def read_page(file: Path) -> pa.Table:
    """Read a page and remove its file."""
    with pa.memory_map(os.fspath(file)) as source:
        table = pa.ipc.open_file(source).read_all()
    file.unlink()
    return table
