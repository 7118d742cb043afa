"""A catalog from before there were buckets opens, with all that it knew."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import text, update

from haulage.catalog import datasets
from haulage.catalog.db.engine import Catalog, open_catalog
from haulage.catalog.db.tables import DatasetTable, RunTable
from haulage.catalog.manifests import reader
from haulage.catalog.manifests.pages import decoded
from haulage.catalog.manifests.reader import Manifest
from haulage.catalog.manifests.writer import ManifestWriter
from haulage.catalog.runs import runs
from haulage.catalog.runs.runs import Run
from haulage.config.policy import Policy
from haulage.config.store_options import StoreOptions
from haulage.model import MANIFEST
from tests.catalogs import manifest_table, recorded

NEW = ["etag", "made"]
PATHS = [b"a", b"d/", b"d/latin-\xe4"]


def downgraded(catalog: Catalog) -> None:
    """Take a catalog back to the tables of before."""
    config = Config()
    config.set_main_option("script_location", "haulage:catalog/migrations")
    with catalog.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0001")


def old_page(table: pa.Table) -> bytes:
    """Return a page as it was written without the columns of objects."""
    sink = pa.BufferOutputStream()
    pq.write_table(table.drop_columns(NEW), sink, version="2.6", compression="zstd")
    return bytes(sink.getvalue())


@pytest.fixture
def table() -> pa.Table:
    return manifest_table(PATHS)


def test_an_older_catalog_is_upgraded_with_its_datasets_and_manifests(
    catalog: Catalog, catalog_url: str, run: Run, table: pa.Table
) -> None:
    writer = ManifestWriter(catalog, run)
    writer.add(table)
    manifest_id = writer.commit()
    with catalog.begin() as connection:
        change = text("UPDATE manifest_pages SET content = :content, checksum = NULL")
        connection.execute(change, {"content": old_page(table)})
    downgraded(catalog)
    with catalog.begin() as connection:  # what was asked for once stood in it, then
        stood = Policy().model_dump(mode="json") | {"allow_empty_target": True}
        connection.execute(update(DatasetTable).values(policy=stood))
        connection.execute(update(RunTable).values(policy=stood))
    with catalog.read() as connection:
        found = connection.execute(text("SELECT * FROM datasets")).mappings().one()
    assert "source_store" not in found
    with open_catalog(catalog_url) as upgraded:
        row = datasets.find(upgraded, "home")
        assert row.dataset.source_store == row.dataset.target_store == StoreOptions()
        assert row.manifest_id == manifest_id
        version = Manifest(upgraded, row.manifest_id)
        assert pa.concat_tables(version.tables()).equals(table)
        assert row.dataset.policy == Policy()
        changed = row.dataset.model_copy(update={"policy": Policy(movers=9)})
        assert recorded(upgraded, changed).dataset == changed
        assert runs.find(upgraded, run.id).manifest_id == manifest_id
        assert runs.find(upgraded, run.id).policy.afresh
        assert len(reader.versions(upgraded, row.id)) == 1


@pytest.mark.parametrize(
    "columns",
    [
        None,
        ["path", "size"],
        ["path", "etag"],
        ["etag"],
        ["made", "path", "etag"],
        ["checksum", "size", "path"],
    ],
)
def test_a_page_without_a_column_has_nulls_there(
    table: pa.Table, columns: list[str] | None
) -> None:
    wanted = table if columns is None else table.select(columns)
    page = decoded(old_page(table), columns, "broken")
    assert page.column_names == wanted.column_names
    assert page.equals(wanted)
    assert page.schema.equals(
        pa.schema([MANIFEST.field(name) for name in wanted.column_names])
    )
