"""A manifest is pages in canonical order, shared by the versions that agree on them."""

import pyarrow as pa
import pytest
from sqlalchemy import func, insert, select, update

from haulage.catalog import datasets
from haulage.catalog.datasets import DatasetRow
from haulage.catalog.db.engine import Catalog
from haulage.catalog.db.tables import PageTable
from haulage.catalog.manifests import reader
from haulage.catalog.manifests.pruning import KEPT_VERSIONS, prune_manifests
from haulage.catalog.manifests.reader import PAGE_ENTRIES, Manifest, ManifestWriter
from haulage.catalog.runs import runs
from haulage.catalog.runs.runs import Run, RunState
from haulage.errors import BrokenPageError, FatalError, LostRunError
from haulage.model import MANIFEST
from tests.catalogs import manifest_table

QUARTER = PAGE_ENTRIES // 4
NASTY = [b"", b"\x01", b"a\nb", b"a\\.", b"d/", b"d/" + b"x" * 4000, b"\xff\xfe"]


def test_a_manifest_gives_back_what_was_written(catalog: Catalog, run: Run) -> None:
    table = manifest_table(NASTY)
    version = Manifest(catalog, _written(catalog, run, table))
    assert pa.concat_tables(version.tables()).equals(table)
    (ref,) = version.pages
    assert (ref.first, ref.last, ref.entries) == (b"", b"\xff\xfe", len(NASTY))
    assert (version.entries, version.content_bytes) == (len(NASTY), 7 * len(NASTY))
    assert version.read(ref).schema.equals(MANIFEST)
    assert version.read(ref, columns=["path", "size"]).column_names == ["path", "size"]
    assert datasets.find(catalog, "home").manifest_id == version.manifest_id
    assert runs.find(catalog, run.id).manifest_id == version.manifest_id


def test_no_manifest_and_an_empty_one_have_no_entries(
    catalog: Catalog, run: Run
) -> None:
    for manifest_id in (None, _written(catalog, run)):
        assert Manifest(catalog, manifest_id).pages == []
        assert Manifest(catalog, manifest_id).entries == 0


def test_pages_are_cut_at_their_size(catalog: Catalog, run: Run) -> None:
    table = _numbered(0, PAGE_ENTRIES * 2 + 5)
    version = Manifest(catalog, _written(catalog, run, table[:7], table[7:]))
    assert [ref.entries for ref in version.pages] == [PAGE_ENTRIES, PAGE_ENTRIES, 5]
    assert pa.concat_tables(version.tables()).equals(table)


@pytest.mark.parametrize("paths", [[b"b", b"a"], [b"a", b"a"], [b"a", b"a/", b"a.b"]])
def test_entries_out_of_order_are_fatal(
    catalog: Catalog, run: Run, paths: list[bytes]
) -> None:
    with pytest.raises(FatalError, match="canonical order"):
        ManifestWriter(catalog, run).add(manifest_table(paths))


def test_tables_and_pages_out_of_order_are_fatal(
    catalog: Catalog, run: Run, home: DatasetRow
) -> None:
    _written(catalog, run, manifest_table([b"b", b"c"]))
    writer = ManifestWriter(catalog, run)
    writer.add(manifest_table([b"b"]))
    with pytest.raises(FatalError, match="b came after b"):
        writer.add(manifest_table([b"b"]))
    with pytest.raises(FatalError, match="b came after b"):
        writer.reuse(_current(catalog, home).pages[0])


def test_a_new_version_shares_the_pages_that_it_keeps(
    catalog: Catalog, run: Run, home: DatasetRow
) -> None:
    _written(catalog, run, _numbered(0, PAGE_ENTRIES * 3))
    before, _, after = _current(catalog, home).pages
    following = _next(catalog, run, home)
    writer = ManifestWriter(catalog, following)
    changed = _numbered(PAGE_ENTRIES, PAGE_ENTRIES + QUARTER)
    writer.reuse(before)
    writer.add(changed)
    writer.reuse(after)
    version = Manifest(catalog, writer.commit())
    assert [version.pages[0], version.pages[2]] == [before, after]
    assert version.read(version.pages[1]).equals(changed)
    newest, oldest = reader.versions(catalog, home.id)
    assert (newest.run_id, newest.pages, newest.entries) == (
        following.id,
        3,
        version.entries,
    )
    assert 0 < newest.stored_bytes < oldest.stored_bytes
    assert _stored_pages(catalog) == 4


def test_too_few_new_entries_for_a_page_join_the_next(
    catalog: Catalog, run: Run, home: DatasetRow
) -> None:
    table = _numbered(0, PAGE_ENTRIES + 1)
    _written(catalog, run, table[1:])
    following = _next(catalog, run, home)
    writer = ManifestWriter(catalog, following)
    writer.add(table[:1])
    writer.reuse(_current(catalog, home).pages[0])
    version = Manifest(catalog, writer.commit())
    assert [ref.entries for ref in version.pages] == [QUARTER * 2 + 1, QUARTER * 2]
    assert pa.concat_tables(version.tables()).equals(table)


def test_a_dataset_that_grows_at_its_end_keeps_few_pages(
    catalog: Catalog, run: Run, home: DatasetRow
) -> None:
    table = _numbered(0, 50)
    _written(catalog, run, table[:10])
    for start in range(10, 50, 10):
        run = _next(catalog, run, home)
        writer = ManifestWriter(catalog, run)
        for ref in _current(catalog, home).pages:
            writer.reuse(ref)
        writer.add(table[start : start + 10])
        writer.commit()
    version = _current(catalog, home)
    assert [ref.entries for ref in version.pages] == [50]
    assert pa.concat_tables(version.tables()).equals(table)


def test_a_stale_driver_commits_nothing(
    catalog: Catalog, run: Run, home: DatasetRow
) -> None:
    writer = ManifestWriter(catalog, run)
    writer.add(_numbered(0, PAGE_ENTRIES))
    taken = runs.take_over(catalog, run)
    with pytest.raises(LostRunError):
        writer.commit()
    with pytest.raises(LostRunError):
        writer.add(_numbered(PAGE_ENTRIES, 2 * PAGE_ENTRIES))
    assert datasets.find(catalog, home.dataset.name).manifest_id is None
    assert _stored_pages(catalog) == 1
    _written(catalog, taken, manifest_table([b"a"]))
    runs.end(catalog, taken, RunState.DONE, {})
    assert _pruned(catalog, home) == 0
    assert _stored_pages(catalog) == 1, "the stale driver's page was not swept"


def test_pruning_keeps_what_versions_and_runs_refer_to(
    catalog: Catalog, run: Run, home: DatasetRow
) -> None:
    table = _numbered(0, 2 * PAGE_ENTRIES)
    _written(catalog, run, table)
    shared = _current(catalog, home).pages[0]
    for size in (1, 2, 3):
        run = _next(catalog, run, home)
        writer = ManifestWriter(catalog, run)
        writer.reuse(shared)
        writer.add(manifest_table([b"\xff"], size))
        writer.commit()
    active = _next(catalog, run, home)
    ManifestWriter(catalog, active).add(table)
    assert _pruned(catalog, home, keep=2) == 2
    kept = reader.versions(catalog, home.id)
    assert [version.content_bytes - shared.bytes for version in kept] == [3, 2]
    assert _current(catalog, home).read(shared).equals(table[:PAGE_ENTRIES])
    assert _stored_pages(catalog) == 3 + 2, "what the active run wrote must stay"
    assert _pruned(catalog, home, keep=0) == 1
    runs.end(catalog, active, RunState.FAILED, {})
    assert _pruned(catalog, home) == 0
    assert _stored_pages(catalog) == 2


def test_a_page_that_was_pruned_is_fatal(
    catalog: Catalog, run: Run, home: DatasetRow
) -> None:
    _written(catalog, run, manifest_table([b"a"]))
    old = _current(catalog, home)
    (ref,) = old.pages
    following = _next(catalog, run, home)
    _written(catalog, following, manifest_table([b"b"]))
    runs.end(catalog, following, RunState.DONE, {})
    assert _pruned(catalog, home, keep=1) == 1
    with pytest.raises(FatalError, match="it was pruned"):
        old.read(ref)


def test_a_run_that_changes_nothing_makes_no_version(
    catalog: Catalog, run: Run, home: DatasetRow
) -> None:
    first = _written(catalog, run, _numbered(0, PAGE_ENTRIES + QUARTER))
    following = _next(catalog, run, home)
    writer = ManifestWriter(catalog, following)
    for ref in Manifest(catalog, first).pages:
        writer.reuse(ref)
    assert writer.commit() == first
    assert runs.find(catalog, following.id).manifest_id == first
    assert [version.id for version in reader.versions(catalog, home.id)] == [first]
    emptied = _written(catalog, _next(catalog, following, home))
    assert emptied != first
    assert _current(catalog, home).manifest_id == emptied


def test_pruning_may_be_left_between_small_steps_and_goes_on_later(
    catalog: Catalog, run: Run, home: DatasetRow
) -> None:
    with catalog.begin() as connection:
        same = {"dataset_id": home.id, "run_id": run.id, "entries": 1}
        same |= {"first": b"a", "last": b"a", "content": b"", "content_bytes": 0}
        rows = [{**same, "stored_bytes": 0} for _ in range(120)]
        connection.execute(insert(PageTable), rows)
    runs.end(catalog, run, RunState.DONE, {})
    next(prune_manifests(catalog, home.id))
    assert _stored_pages(catalog) == 70
    assert _pruned(catalog, home) == 0
    assert _stored_pages(catalog) == 0


def test_a_flipped_bit_of_a_page_is_told_with_the_way_out(
    catalog: Catalog, run: Run, home: DatasetRow
) -> None:
    table = _numbered(0, 500)
    version = Manifest(catalog, _written(catalog, run, table))
    (ref,) = version.pages
    with catalog.read() as connection:
        content = connection.scalars(select(PageTable.content)).one()
    for at in range(0, len(content), len(content) // 20):
        flipped = bytearray(content)
        flipped[at] ^= 4
        _put(catalog, bytes(flipped))
        told = rf"page {ref.id} of dataset home .*sync --dataset home --afresh"
        with pytest.raises(BrokenPageError, match=told):
            version.read(ref, ["path"])
    _put(catalog, content)
    assert version.read(ref).equals(table)


def _put(catalog: Catalog, content: bytes) -> None:
    with catalog.begin() as connection:
        connection.execute(update(PageTable).values(content=content))


def _numbered(start: int, stop: int) -> pa.Table:
    return manifest_table([b"dir/%08d" % number for number in range(start, stop)])


def _written(catalog: Catalog, run: Run, *tables: pa.Table) -> int:
    writer = ManifestWriter(catalog, run)
    for table in tables:
        writer.add(table)
    return writer.commit()


def _next(catalog: Catalog, run: Run, home: DatasetRow) -> Run:
    runs.end(catalog, run, RunState.DONE, {})
    return runs.begin(catalog, home.dataset, trigger="test")


def _current(catalog: Catalog, home: DatasetRow) -> Manifest:
    row = datasets.find(catalog, home.dataset.name)
    return Manifest(catalog, row.manifest_id)


def _pruned(catalog: Catalog, home: DatasetRow, keep: int = KEPT_VERSIONS) -> int:
    return sum(prune_manifests(catalog, home.id, keep))


def _stored_pages(catalog: Catalog) -> int:
    with catalog.read() as connection:
        return connection.execute(select(func.count(PageTable.id))).scalar_one()
