"""Read the versions of what a dataset's target holds."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import pyarrow as pa
from sqlalchemy import BigInteger, cast, func, select

from haulage.catalog.db.engine import Catalog
from haulage.catalog.db.patience import patient
from haulage.catalog.db.tables import (
    ManifestPageTable,
    ManifestTable,
    PageTable,
)
from haulage.catalog.manifests.writer import (
    PAGE_ENTRIES,
    ManifestWriter,
    PageRef,
    read_page,
)

__all__ = [
    "PAGE_ENTRIES",
    "Manifest",
    "ManifestWriter",
    "PageRef",
    "Version",
    "versions",
]


class Manifest:
    """One version; without an id, the empty one."""

    def __init__(self, catalog: Catalog, manifest_id: int | None) -> None:
        """Set the version; nothing is read yet."""
        self.catalog = catalog
        self.manifest_id = manifest_id

    @cached_property
    def pages(self) -> list[PageRef]:
        """The pages in canonical order, without their content."""
        return _pages_of(self.catalog, self.manifest_id)

    @property
    def entries(self) -> int:
        """How many entries the version has."""
        return sum(ref.entries for ref in self.pages)

    @property
    def content_bytes(self) -> int:
        """How many bytes its files hold together."""
        return sum(ref.bytes for ref in self.pages)

    def read(self, ref: PageRef, columns: Sequence[str] | None = None) -> pa.Table:
        """Return the entries of a page, or only some columns of them."""
        return read_page(self.catalog, ref, columns)

    def tables(self) -> Iterator[pa.Table]:
        """Yield the entries of the version, a page at a time."""
        for ref in self.pages:
            yield self.read(ref)


@patient
def _pages_of(catalog: Catalog, manifest_id: int | None) -> list[PageRef]:
    table = PageTable
    wanted = (
        select(table.id, table.first, table.last, table.entries, table.content_bytes)
        .join(ManifestPageTable, ManifestPageTable.page_id == table.id)
        .where(ManifestPageTable.manifest_id == manifest_id)
        .order_by(ManifestPageTable.position)
    )
    with catalog.read() as connection:
        return [PageRef(*row) for row in connection.execute(wanted)]


@dataclass(frozen=True)
class Version:
    """A version as a list shows it; it may share pages with other versions."""

    id: int
    run_id: str
    created_at: datetime
    entries: int
    content_bytes: int
    pages: int
    stored_bytes: int


@patient
def versions(catalog: Catalog, dataset_id: int) -> list[Version]:
    """Return the versions of a dataset, newest first."""
    table = ManifestTable
    stored = func.coalesce(func.sum(PageTable.stored_bytes), 0)
    wanted = (
        select(
            table.id,
            table.run_id,
            table.created_at,
            table.entries,
            table.content_bytes,
            func.count(PageTable.id).label("pages"),
            cast(stored, BigInteger).label("stored_bytes"),
        )
        .outerjoin(ManifestPageTable, ManifestPageTable.manifest_id == table.id)
        .outerjoin(PageTable, PageTable.id == ManifestPageTable.page_id)
        .where(table.dataset_id == dataset_id)
        .group_by(table.id)
        .order_by(table.id.desc())
    )
    with catalog.read() as connection:
        return [Version(**row) for row in connection.execute(wanted).mappings()]
