"""Large files whose checksums an earlier version recorded: of all bytes in a row."""

import os
from pathlib import Path

import pyarrow as pa
import pytest
from sqlalchemy import select, update

from haulage.catalog.db.tables import PageTable
from haulage.catalog.manifests.pages import checksum_of as checksum_of_page
from haulage.catalog.manifests.pages import decoded, encoded
from haulage.model import Verified
from tests.e2e.place import Place, grow_old, write
from tests.engine_builders import checksum_of, linear_checksum_of
from tests.trees.compare import assert_same

CONTENT = os.urandom(40 << 20)


@pytest.fixture
def earlier(place: Place) -> Place:
    """Return a place that was synced, as if an earlier version had done it."""
    write(place.source / "large", CONTENT)
    write(place.source / "small", b"small")
    grow_old()
    place.sync()
    assert place.manifest()[b"large"]["checksum"] == checksum_of(CONTENT)
    grow_old()
    with place.catalog().begin() as connection:
        pages = connection.execute(select(PageTable.id, PageTable.content)).all()
        for page in pages:
            content = encoded(as_recorded_before(decoded(page.content, None, "")))
            changed = {"content": content, "checksum": checksum_of_page(content)}
            which = update(PageTable).where(PageTable.id == page.id)
            connection.execute(which.values(**changed))
    known = place.manifest()[b"large"]["checksum"]
    assert known == linear_checksum_of(CONTENT) != checksum_of(CONTENT)
    return place


def as_recorded_before(page: pa.Table) -> pa.Table:
    rows = page.to_pylist()
    for row in rows:
        if row["path"] == b"large":
            row["checksum"] = linear_checksum_of(CONTENT)
    return pa.Table.from_pylist(rows, schema=page.schema)


def flip(file: Path) -> None:
    found = file.stat()
    with file.open("r+b") as opened:
        opened.seek(20 << 20)
        byte = opened.read(1)
        opened.seek(20 << 20)
        opened.write(bytes([byte[0] ^ 1]))
    os.utime(file, ns=(found.st_atime_ns, found.st_mtime_ns))


def test_a_touched_one_is_not_copied_and_gets_the_checksum_of_today(
    earlier: Place,
) -> None:
    inode = (earlier.target / "large").stat().st_ino
    os.utime(earlier.source / "large", ns=(1, 1))
    summary = earlier.sync()
    assert (summary.copied, summary.updated, summary.failed) == (0, 1, 0)
    assert (earlier.target / "large").stat().st_ino == inode
    entry = earlier.manifest()[b"large"]
    assert (entry["checksum"], entry["verified"]) == (
        checksum_of(CONTENT),
        Verified.CHECKSUM,
    )
    assert_same(earlier.source, earlier.target)


def test_one_is_proven_and_one_flipped_bit_of_it_is_found(earlier: Place) -> None:
    assert earlier.haulage("verify", earlier.name).code == 0, earlier.failures()
    flip(earlier.target / "large")
    assert earlier.haulage("verify", earlier.name).code == 1
    assert set(earlier.failures()) == {b"large"}


def test_an_edit_that_restores_its_time_is_found(earlier: Place) -> None:
    flip(earlier.source / "large")
    assert earlier.sync().copied == 1
    assert_same(earlier.source, earlier.target)
