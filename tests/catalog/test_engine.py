"""Opening a catalog: where it is, who may, and what is refused."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from haulage.catalog.db.engine import Catalog, default_url, home, open_catalog
from haulage.catalog.db.schema import HEAD
from haulage.catalog.db.tables import Base
from haulage.errors import RefusedError
from tests.postgres import PostgresServer

ROOT = Path(__file__).parents[2]
OPEN = (
    "import sys; from haulage.catalog.db.engine import open_catalog as o; "
    "o(sys.argv[1])"
)


def test_the_migrations_make_the_tables_that_the_mappings_say(catalog: Catalog) -> None:
    with catalog.read() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, Base.metadata) == []


def test_a_catalog_opens_again(catalog: Catalog, catalog_url: str) -> None:
    open_catalog(catalog_url).engine.dispose()


def test_processes_that_migrate_at_once_all_succeed(catalog_url: str) -> None:
    command = [sys.executable, "-c", OPEN, catalog_url]
    started = [subprocess.Popen(command, cwd=ROOT) for _ in range(3)]
    assert [process.wait() for process in started] == [0, 0, 0]


def test_a_newer_schema_is_refused(catalog: Catalog, catalog_url: str) -> None:
    with catalog.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(
        RefusedError, match=f"schema 9999, newer than the schema {HEAD}"
    ):
        open_catalog(catalog_url)


def test_a_database_with_other_tables_is_refused(
    catalog: Catalog, catalog_url: str
) -> None:
    with catalog.begin() as connection:
        connection.execute(text("DROP TABLE catalog_info"))
    with pytest.raises(RefusedError, match="is not a catalog"):
        open_catalog(catalog_url)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_text("something else, long enough for a header" * 20)
    with pytest.raises(RefusedError, match="not a SQLite database"):
        open_catalog(f"sqlite:///{tmp_path / 'x.db'}")


def test_the_sqlite_file_of_another_machine_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'x.db'}"
    open_catalog(url).engine.dispose()
    connection = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
    connection.execute("UPDATE catalog_info SET value = 'elsewhere'")
    connection.close()
    with pytest.raises(RefusedError, match=r"(?s)elsewhere.*one machine.*Postgres"):
        open_catalog(url)


def test_an_unreachable_postgres_is_refused_without_its_password() -> None:
    url = "postgres://me:sesame@127.0.0.1:1/ledger"
    with pytest.raises(RefusedError, match=r"me:\*\*\*@127\.0\.0\.1:1/ledger") as err:
        open_catalog(url)
    assert "sesame" not in str(err.value)
    assert "HAULAGE_CATALOG" in str(err.value)


@pytest.mark.parametrize("url", ["mysql://me:sesame@h/d", "sqlite://", "no url"])
def test_an_unsupported_url_is_refused(url: str) -> None:
    with pytest.raises(RefusedError, match="SQLite file or a Postgres") as err:
        open_catalog(url)
    assert "sesame" not in str(err.value)


def test_a_catalog_does_not_show_its_password(postgres: PostgresServer) -> None:
    url = postgres.fresh_database().replace("postgres@", "postgres:sesame@")
    opened = open_catalog(url)
    assert "sesame" in opened.url
    assert "sesame" not in repr(opened) + opened.shown
    opened.engine.dispose()


def test_the_default_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HAULAGE_HOME", "HAULAGE_CATALOG", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert home() == Path.home() / ".local/share/haulage"
    monkeypatch.setenv("XDG_DATA_HOME", "/x")
    assert home() == Path("/x/haulage")
    monkeypatch.setenv("HAULAGE_HOME", "/y")
    assert default_url() == "sqlite:////y/catalog.db"
    monkeypatch.setenv("HAULAGE_CATALOG", "postgresql://h/d")
    assert default_url() == "postgresql://h/d"


def test_a_known_sqlite_catalog_opens_without_slow_imports(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'x.db'}"
    open_catalog(url).engine.dispose()
    check = f"{OPEN}; sys.exit(bool({{'alembic', 'psycopg'}} & set(sys.modules)))"
    command = [sys.executable, "-c", check, url]
    subprocess.run(command, cwd=ROOT, check=True, env=dict(os.environ))


def test_sqlite_is_set_up_for_many_processes(tmp_path: Path) -> None:
    opened = open_catalog(f"sqlite:///{tmp_path / 'x.db'}")
    with opened.read() as connection:
        pragmas = ("journal_mode", "busy_timeout", "foreign_keys", "synchronous")
        found = [connection.execute(text(f"PRAGMA {one}")).scalar() for one in pragmas]
    assert found == ["wal", 30_000, 1, 1]
    opened.engine.dispose()
