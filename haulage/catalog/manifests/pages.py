"""Storage format of a manifest page: Parquet, encoded for sorted listings."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from haulage.errors import BrokenPageError
from haulage.model import MANIFEST

# Few values each, or the same one over and over: a dictionary and run lengths.
_REPETITIVE = ["kind", "mode", "uid", "gid", "dev", "nlink", "verified"]
_ENCODINGS = {
    "path": "DELTA_BYTE_ARRAY",
    "target": "DELTA_BYTE_ARRAY",
    "etag": "PLAIN",
    "made": "PLAIN",
    "checksum": "PLAIN",
    "racy": "RLE",
    **dict.fromkeys(
        ("size", "mtime_s", "mtime_ns", "ctime_s", "ctime_ns", "ino"),
        "DELTA_BINARY_PACKED",
    ),
}
_COMPRESSION = dict.fromkeys(MANIFEST.names, "zstd") | {"checksum": "none"}


def encoded(table: pa.Table) -> bytes:
    """Return the bytes of one page."""
    sink = pa.BufferOutputStream()
    pq.write_table(
        table,
        sink,
        version="2.6",
        data_page_version="2.0",
        compression=_COMPRESSION,
        use_dictionary=_REPETITIVE,
        column_encoding=_ENCODINGS,
        write_statistics=False,
        write_page_checksum=True,
        row_group_size=max(1, table.num_rows),
    )
    return bytes(sink.getvalue())


def checksum_of(content: bytes) -> bytes:
    """Return the checksum that is stored beside a page."""
    return xxhash.xxh3_128_digest(content)


def decoded(content: bytes, columns: Sequence[str] | None, broken: str) -> pa.Table:
    """Return the entries of one page, or only some columns of them.

    BrokenPageError with the message `broken` if they cannot be read. A column that came
    into use after the page was written has nulls.
    """
    names = MANIFEST.names if columns is None else list(columns)
    try:
        file = pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True)
        page = file.read(names, use_threads=False)
    except (pa.ArrowException, OSError) as err:
        raise BrokenPageError(broken) from err
    for at, name in enumerate(names):
        if name not in page.schema.names:
            field = MANIFEST.field(name)
            page = page.add_column(at, field, pa.nulls(page.num_rows, field.type))
    return page
