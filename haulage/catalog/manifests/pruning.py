"""Remove unneeded versions and pages, in small transactions beside other runs."""

from collections.abc import Iterator

from sqlalchemy import ColumnElement, Select, delete, exists, func, or_, select

from haulage.catalog.db.engine import Catalog
from haulage.catalog.db.patience import patient
from haulage.catalog.db.tables import (
    DatasetTable,
    ManifestPageTable,
    ManifestTable,
    PageTable,
    RunTable,
)
from haulage.catalog.runs.lineage import LEFT_BY, VERIFY

KEPT_VERSIONS = 7
_PAGES_AT_ONCE = 50  # some megabytes each, under SQLite's only write lock


def prune_manifests(
    catalog: Catalog, dataset_id: int, keep: int = KEPT_VERSIONS
) -> Iterator[int]:
    """Remove old versions of a dataset's manifest, then pages that no version uses.

    Kept are the newest `keep` versions, those that an active run builds on, and those
    of the last `keep` targets. Every step is one transaction and yields how many
    versions it removed; a caller may stop between two steps.
    """
    for version in _found(catalog, _old_versions(dataset_id, keep)):
        yield _remove(catalog, ManifestTable, [version])
    orphans = _found(catalog, _orphans(dataset_id))
    for start in range(0, len(orphans), _PAGES_AT_ONCE):
        _remove(catalog, PageTable, orphans[start : start + _PAGES_AT_ONCE])
        yield 0


@patient
def _found(catalog: Catalog, wanted: Select[int]) -> list[int]:
    with catalog.read() as connection:
        return list(connection.scalars(wanted))


@patient
def _remove(
    catalog: Catalog, table: type[ManifestTable | PageTable], ids: list[int]
) -> int:
    with catalog.begin() as connection:
        return connection.execute(delete(table).where(table.id.in_(ids))).rowcount


def _old_versions(dataset_id: int, keep: int) -> Select[int]:
    of_dataset = ManifestTable.dataset_id == dataset_id
    newest = select(ManifestTable.id).where(of_dataset)
    newest = newest.order_by(ManifestTable.id.desc()).limit(max(keep, 0))
    current = select(DatasetTable.manifest_id).where(
        DatasetTable.id == dataset_id, DatasetTable.manifest_id.is_not(None)
    )
    bases = select(RunTable.base_manifest_id).where(
        RunTable.state == "active", RunTable.base_manifest_id.is_not(None)
    )
    kept = (newest, current, bases, _last_of_targets(dataset_id, keep))
    is_old = ~or_(*(ManifestTable.id.in_(some) for some in kept))
    return select(ManifestTable.id).where(of_dataset, is_old)


def _last_of_targets(dataset_id: int, keep: int) -> Select[int]:
    """Return versions that no later run builds on: those of disks that are away.

    Such a disk may return after many nights on another one.
    """
    built_on = select(RunTable.after_run).where(
        RunTable.dataset_id == dataset_id,
        RunTable.after_run.is_not(None),
        RunTable.manifest_id.is_not(None),
        RunTable.trigger != VERIFY,
    )
    last = func.max(ManifestTable.id)
    return (
        select(last)
        .join_from(ManifestTable, RunTable, RunTable.id == ManifestTable.run_id)
        .where(ManifestTable.dataset_id == dataset_id, LEFT_BY.not_in(built_on))
        .group_by(LEFT_BY)
        .order_by(last.desc())
        .limit(max(keep, 0))
    )


def _orphans(dataset_id: int) -> Select[int]:
    """Return the pages of no version; nothing will ever name them again.

    Pages that an active run has written are not in a version yet.
    """
    writing = select(RunTable.id).where(RunTable.state == "active")
    return select(PageTable.id).where(
        PageTable.dataset_id == dataset_id,
        PageTable.run_id.not_in(writing),
        _is_orphan(),
    )


def _is_orphan() -> ColumnElement[bool]:
    return ~exists().where(ManifestPageTable.page_id == PageTable.id)
