"""Pages from listers to their consumer: page files, and paths in lines of JSON."""

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self, cast

import pyarrow as pa

from haulage.errors import own_files
from haulage.private import make_file
from haulage.storage.tree.listing.walk import Span

_SPAN_FIELDS = ("path", "start", "end", "after")

HUNGER_FILE = "hunger"
HUNGER_BYTES = 8  # of the shared file in which the consumer says that a lister is idle


@dataclass(frozen=True, slots=True)
class Setup:
    """A lister's first line: what it lists, how, and where its pages go.

    `lanes` is how many spans it lists at once. A listing that is not `in_order` is one
    span, sorted in the spool.
    """

    place: dict[str, object]
    selection: dict[str, object]
    spool: Path
    lanes: int
    for_files: bool
    in_order: bool = True

    def as_fields(self) -> dict[str, object]:
        """Return the setup as a JSON object."""
        return asdict(self) | {"spool": str(self.spool)}

    @classmethod
    def from_fields(cls, fields: dict[str, object]) -> Self:
        """Return the setup that `as_fields` wrote."""
        spool = Path(str(fields["spool"]))
        return cls(**cast("dict[str, Any]", fields | {"spool": spool}))


def to_text(path: bytes | None) -> str | None:
    """Return `path` as text that survives JSON and sorts as it does."""
    return None if path is None else path.hex()


def from_text(text: object) -> bytes | None:
    """Return the path from which `to_text` made `text`."""
    return None if text is None else bytes.fromhex(str(text))


def span_to_fields(span: Span) -> dict[str, object]:
    """Return a span as part of an order in JSON."""
    return {field: to_text(getattr(span, field)) for field in _SPAN_FIELDS}


def span_from_fields(fields: dict[str, object]) -> Span:
    """Return the span that `span_to_fields` wrote."""
    path, *bounds = (from_text(fields[field]) for field in _SPAN_FIELDS)
    return Span(path or b"", *bounds)


def write_page(file: Path, entries: pa.Table) -> None:
    """Write a page; its line is sent to the consumer only after this returns."""
    with own_files(file):
        make_file(file)
    with (
        own_files(file),
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
