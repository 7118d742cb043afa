"""Open the catalog, and run transactions in it."""

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError

from haulage.catalog.schema import bring_up_to_date
from haulage.errors import RefusedError, TransientError

BUSY_TIMEOUT_S = 30
CONNECT_TIMEOUT_S = 10

Insert = postgresql.Insert | sqlite.Insert


@dataclass(frozen=True)
class Catalog:
    """A door to the ledger. `shown` is the URL as it may be printed."""

    url: str = field(repr=False)
    shown: str
    engine: Engine = field(repr=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.engine.dispose()

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """Yield a connection in one transaction that may write."""
        with self._sorted_errors(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Yield a connection in one transaction that only reads and blocks nobody."""
        reader = self.engine.execution_options(haulage_reads=True)
        with self._sorted_errors(), reader.begin() as connection:
            yield connection

    @contextmanager
    def _sorted_errors(self) -> Iterator[None]:
        try:
            yield
        except OperationalError as err:
            raise TransientError(
                f"catalog {self.shown}: {err.orig}; check that the database is up and"
                " has room, then resume the run"
            ) from err


def home() -> Path:
    """Return the directory that holds this user's catalog."""
    if given := os.environ.get("HAULAGE_HOME"):
        return Path(given).expanduser()
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "haulage"


def default_url() -> str:
    """Return the URL of the catalog that is used when none is named."""
    return os.environ.get("HAULAGE_CATALOG") or f"sqlite:///{home() / 'catalog.db'}"


def open_catalog(url: str | None = None) -> Catalog:
    """Open the catalog at `url`, making or migrating its tables when need be."""
    parsed = _parse(url or default_url())
    shown = _shown(parsed)
    if parsed.get_backend_name() == "sqlite":
        engine = _sqlite_engine(parsed)
    else:
        engine = create_engine(
            parsed,
            pool_pre_ping=True,
            connect_args={"connect_timeout": CONNECT_TIMEOUT_S},
        )
    catalog = Catalog(parsed.render_as_string(hide_password=False), shown, engine)
    try:
        bring_up_to_date(engine, shown)
    except DBAPIError as err:
        engine.dispose()
        raise RefusedError(_unusable(shown, err)) from err
    except BaseException:
        engine.dispose()
        raise
    return catalog


def insert_or_update(connection: Connection, table: type[Any]) -> Insert:
    """Return an INSERT for `table` that has ON CONFLICT, in the database's dialect."""
    if connection.dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)


def _parse(url: str) -> URL:
    try:
        parsed = make_url(re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", url))
    except ArgumentError as err:
        raise RefusedError(_unsupported("the given URL can not be parsed")) from err
    if parsed.drivername == "postgresql+psycopg":
        return parsed
    if parsed.drivername not in ("sqlite", "sqlite+pysqlite"):
        raise RefusedError(_unsupported(f"{_shown(parsed)} is neither"))
    if parsed.database in (None, "", ":memory:"):
        raise RefusedError(_unsupported(f"{_shown(parsed)} names no file"))
    return parsed


def _unsupported(problem: str) -> str:
    return (
        f"the catalog is a SQLite file or a Postgres database: {problem}; write"
        " sqlite:////absolute/path/catalog.db or postgresql://user@host/database"
    )


def _shown(url: URL) -> str:
    if "password" in url.query:
        url = url.update_query_dict({"password": "***"})
    return url.render_as_string(hide_password=True)


def _unusable(shown: str, err: DBAPIError) -> str:
    if "file is not a database" in str(err.orig):
        return f"{shown} is not a catalog: the file is no SQLite database; name another"
    reason = " ".join(str(err.orig).split())
    return (
        f"the catalog {shown} can not be opened: {reason}; check the URL"
        " ($HAULAGE_CATALOG), that the server is up, and the user's rights"
    )


def _sqlite_engine(url: URL) -> Engine:
    engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S})
    event.listen(engine, "connect", _set_up_connection)
    event.listen(engine, "begin", _begin)
    return engine


def _set_up_connection(connection: sqlite3.Connection, _record: object) -> None:
    # The driver would start transactions by itself, and too late for a safe read.
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = NORMAL")


def _begin(connection: Connection) -> None:
    reads = connection.get_execution_options().get("haulage_reads", False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")
