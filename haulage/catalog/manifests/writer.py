"""Write a new version of a manifest, sharing the pages without changes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection, insert, select, update

from haulage.catalog.db.engine import Catalog
from haulage.catalog.db.patience import patient
from haulage.catalog.db.tables import (
    DatasetTable,
    ManifestPageTable,
    ManifestTable,
    PageTable,
)
from haulage.catalog.manifests.pages import checksum_of, decoded, encoded
from haulage.catalog.runs.run import Run, guarded, hold, must_hit
from haulage.errors import BrokenPageError, FatalError
from haulage.model import MANIFEST, Kind
from haulage.paths import shown

PAGE_ENTRIES = 50_000
_SMALL_PAGE = PAGE_ENTRIES // 4


@dataclass(frozen=True)
class PageRef:
    """A stored page: its first and last path, entries, and bytes in its files."""

    id: int
    first: bytes
    last: bytes
    entries: int
    bytes: int


@patient
def read_page(
    catalog: Catalog, ref: PageRef, columns: Sequence[str] | None = None
) -> pa.Table:
    """Return the entries of a page, or only some columns of them."""
    wanted = (
        select(PageTable.content, PageTable.checksum, DatasetTable.name)
        .join(DatasetTable, DatasetTable.id == PageTable.dataset_id)
        .where(PageTable.id == ref.id)
    )
    with catalog.read() as connection:
        row = connection.execute(wanted).one_or_none()
    if row is None:
        raise FatalError(
            f"manifest page {ref.id} (from {shown(ref.first)} on) is not in"
            f" {catalog.shown}: it was pruned; start a new run"
        )
    broken = (
        f"manifest page {ref.id} of dataset {row.name} (from {shown(ref.first)} on) "
        f"is damaged in {catalog.shown}: check its disk. 'haulage sync --dataset "
        f"{row.name} --afresh' compares with the target instead"
    )
    # Pages from before there were checksums have none.
    if row.checksum not in (None, checksum_of(row.content)):
        raise BrokenPageError(broken)
    return decoded(row.content, columns, broken)


class ManifestWriter:
    """Takes pages to keep and new entries, in canonical order, and commits them."""

    def __init__(self, catalog: Catalog, run: Run) -> None:
        """Start with an empty version for `run`."""
        self._catalog = catalog
        self._run = run
        self._refs: list[PageRef] = []
        self._buffer: list[pa.Table] = []
        self._buffered = 0
        self._last: bytes | None = None

    def reuse(self, ref: PageRef) -> None:
        """Take over a stored page as it is; between new entries too few for a page of
        their own, its entries are written again together with them.
        """
        self._follows(ref.first)
        self._last = ref.last
        if 0 < self._buffered < _SMALL_PAGE:
            self._take(read_page(self._catalog, ref))
            if self._buffered >= _SMALL_PAGE:
                self._flush()
        else:
            self._flush()
            self._refs.append(ref)

    def add(self, table: pa.Table) -> None:
        """Take new entries, in the columns of `model.MANIFEST`."""
        if table.num_rows == 0:
            return
        table = table.select(MANIFEST.names).cast(MANIFEST)
        self._check_order(table.column("path"))
        self._last = table.column("path")[-1].as_py()
        if not self._buffered:
            self._reopen_small_page()
        self._take(table)
        while self._buffered >= PAGE_ENTRIES:
            self._cut(PAGE_ENTRIES)

    def commit(self) -> int:
        """Make the result the dataset's current version, and return its id.

        If all pages were kept, that is the version which the run began with.
        """
        self._flush()
        return _make_current(self._catalog, self._run, self._refs)

    @property
    def entries(self) -> int:
        """Return how many entries the version has so far."""
        return sum(ref.entries for ref in self._refs) + self._buffered

    def _follows(self, path: bytes) -> None:
        if self._last is not None and path <= self._last:
            raise FatalError(
                f"manifest of run {self._run.id}: {shown(path)} came after "
                f"{shown(self._last)}, which is not canonical order; the listing "
                "cannot be trusted; list again"
            )

    def _check_order(self, paths: pa.ChunkedArray) -> None:
        self._follows(paths[0].as_py())
        ascends = pc.less(paths[:-1], paths[1:])
        if len(ascends) and not pc.all(ascends).as_py():
            for before, path in pairwise(paths.to_pylist()):
                self._last = before
                self._follows(path)

    def _reopen_small_page(self) -> None:
        # Else a dataset that grows at its end gets one more tiny page every night.
        if self._refs and self._refs[-1].entries < _SMALL_PAGE:
            self._take(read_page(self._catalog, self._refs.pop()))

    def _take(self, table: pa.Table) -> None:
        self._buffer.append(table)
        self._buffered += table.num_rows

    def _flush(self) -> None:
        """Store everything that is buffered, in pages of one size."""
        pages = -(-self._buffered // PAGE_ENTRIES)
        for left in range(pages, 0, -1):
            self._cut(-(-self._buffered // left))

    def _cut(self, entries: int) -> None:
        table = pa.concat_tables(self._buffer)
        self._refs.append(self._store(table.slice(0, entries).combine_chunks()))
        self._buffer = [table.slice(entries)]
        self._buffered -= entries

    def _store(self, table: pa.Table) -> PageRef:
        content = encoded(table)
        paths = table.column("path")
        is_file = pc.equal(table.column("kind"), pa.scalar(Kind.FILE, pa.uint8()))
        size = pc.sum(table.column("size").filter(is_file)).as_py() or 0
        first, last = paths[0].as_py(), paths[-1].as_py()
        ref = PageRef(0, first, last, table.num_rows, size)
        page_id = _store(self._catalog, self._run, ref, content)
        return replace(ref, id=page_id)


@patient
def _store(catalog: Catalog, run: Run, ref: PageRef, content: bytes) -> int:
    statement = insert(PageTable).values(
        dataset_id=run.dataset_id,
        run_id=run.id,
        first=ref.first,
        last=ref.last,
        entries=ref.entries,
        content_bytes=ref.bytes,
        stored_bytes=len(content),
        content=content,
        checksum=checksum_of(content),
    )
    with catalog.begin() as connection:
        hold(connection, run)
        page_id: int = connection.scalars(statement.returning(PageTable.id)).one()
    return page_id


@patient
def _make_current(catalog: Catalog, run: Run, refs: Sequence[PageRef]) -> int:
    with catalog.begin() as connection:
        hold(connection, run)
        manifest_id = _same(connection, run, refs) or _record(connection, run, refs)
        pointed = guarded(run).values(manifest_id=manifest_id)
        must_hit(connection, pointed, run)
        connection.execute(
            update(DatasetTable)
            .where(DatasetTable.id == run.dataset_id)
            .values(manifest_id=manifest_id)
        )
    return manifest_id


def _same(connection: Connection, run: Run, refs: Sequence[PageRef]) -> int | None:
    """Return the version that the run began with, if it has exactly these pages."""
    table = ManifestPageTable
    wanted = select(table.page_id).where(table.manifest_id == run.base_manifest_id)
    known = list(connection.scalars(wanted.order_by(table.position)))
    return run.base_manifest_id if known == [ref.id for ref in refs] else None


def _record(connection: Connection, run: Run, refs: Sequence[PageRef]) -> int:
    statement = insert(ManifestTable).values(
        dataset_id=run.dataset_id,
        run_id=run.id,
        entries=sum(ref.entries for ref in refs),
        content_bytes=sum(ref.bytes for ref in refs),
    )
    manifest_id: int = connection.scalars(statement.returning(ManifestTable.id)).one()
    rows = [
        {"manifest_id": manifest_id, "position": position, "page_id": ref.id}
        for position, ref in enumerate(refs)
    ]
    if rows:
        connection.execute(insert(ManifestPageTable), rows)
    return manifest_id
