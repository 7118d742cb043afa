"""Open the catalog, and run transactions in it."""

import logging
import os
import re
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    RootTransaction,
    create_engine,
    event,
    inspect,
    make_url,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError

from haulage.catalog.db.commits import number_of, was_committed
from haulage.catalog.db.schema import bring_up_to_date
from haulage.catalog.db.transport import unprotected_host
from haulage.errors import AwayError, RefusedError, TransientError

_log = logging.getLogger(__name__)
# What breaks in there is raised as well; its traceback would come before our words.
logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)

BUSY_TIMEOUT_S = 30
CONNECT_TIMEOUT_S = 10
PATIENCE_S = 60.0  # with a database that is away

Insert = postgresql.Insert | sqlite.Insert


@dataclass(frozen=True)
class Catalog:
    """The open catalog. `shown` is the URL without its password.

    Once it is `hurried`, nobody waits for a database that is away.
    """

    url: str = field(repr=False)
    shown: str
    engine: Engine = field(repr=False)
    hurried: threading.Event = field(default_factory=threading.Event, repr=False)
    _away_since: list[float] = field(default_factory=list, repr=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.engine.dispose()

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """Yield a connection in one transaction that may write.

        If the connection breaks during the commit, the database is asked whether it
        succeeded: AwayError is raised only if nothing happened.
        """
        with (
            self._sorted_errors(),
            self._begun(self.engine) as (connection, transaction),
        ):
            yield connection
            self._commit(connection, transaction)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Yield a connection in one transaction that only reads and blocks nobody."""
        reader = self.engine.execution_options(haulage_reads=True)
        with self._sorted_errors(), self._begun(reader) as (connection, _):
            yield connection

    def is_away_for_s(self) -> float:
        """Return for how many seconds the database has been unreachable."""
        return time.monotonic() - self._away_since[0] if self._away_since else 0.0

    @contextmanager
    def _begun(self, engine: Engine) -> Iterator[tuple[Connection, RootTransaction]]:
        """Yield a transaction; a failure before it starts has done nothing."""
        with ExitStack() as stack:
            try:
                connection = stack.enter_context(engine.connect())
                transaction = stack.enter_context(connection.begin())
            except OperationalError as err:
                if not self._away_since:
                    self._away_since.append(time.monotonic())
                raise AwayError(self._words(err)) from err
            self._away_since.clear()
            yield connection, transaction

    @contextmanager
    def _sorted_errors(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as err:
            if err.connection_invalidated or _is_busy(err):
                raise AwayError(self._words(err)) from err
            if isinstance(err, OperationalError):
                raise TransientError(self._words(err)) from err
            raise

    def _words(self, err: DBAPIError) -> str:
        if _is_busy(err):
            return (
                f"catalog {self.shown}: {err.orig}: another process keeps writing to "
                "it; look for a backup tool or an open sqlite3 shell, then resume "
                "the run"
            )
        return (
            f"catalog {self.shown}: {err.orig}; check that the database is up and has"
            " room, then resume the run"
        )

    def _commit(self, connection: Connection, transaction: RootTransaction) -> None:
        number = number_of(connection)
        try:
            transaction.commit()
        except DBAPIError as err:
            if number is None or not err.connection_invalidated:
                raise
            known = was_committed(self.engine, number, self.hurried, PATIENCE_S)
            if known is None:
                raise TransientError(
                    f"catalog {self.shown}: the connection broke during a commit, and "
                    "the database does not say whether it succeeded; check that the "
                    "database is up, then resume the run"
                ) from err
            if not known:
                raise


def _is_busy(err: DBAPIError) -> bool:
    """Tell whether SQLite waited for another process in vain, and did nothing."""
    name: str = getattr(err.orig, "sqlite_errorname", "")
    return name.startswith("SQLITE_BUSY")


def home() -> Path:
    """Return the directory that holds this user's catalog."""
    if given := os.environ.get("HAULAGE_HOME"):
        return Path(given).expanduser()
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "haulage"


def default_url() -> str:
    """Return the URL of the default catalog."""
    return os.environ.get("HAULAGE_CATALOG") or f"sqlite:///{home() / 'catalog.db'}"


def open_catalog(url: str | None = None) -> Catalog:
    """Open the catalog at `url`; its tables are created or migrated if necessary."""
    catalog = as_it_is(url)
    try:
        bring_up_to_date(catalog.engine, catalog.shown)
    except DBAPIError as err:
        catalog.engine.dispose()
        raise RefusedError(_unusable(catalog.shown, err)) from err
    except BaseException:
        catalog.engine.dispose()
        raise
    return catalog


def as_it_is(url: str | None = None) -> Catalog:
    """Return the catalog at `url`; its tables may be missing or of another version."""
    parsed = _parse(url or default_url())
    if parsed.get_backend_name() == "sqlite":
        engine = _sqlite_engine(parsed)
    else:
        engine = create_engine(
            parsed,
            pool_pre_ping=True,
            connect_args={
                "connect_timeout": CONNECT_TIMEOUT_S,
                "client_encoding": "utf8",  # whatever $PGCLIENTENCODING says
            },
        )
        _warn_of_transport(parsed)
    text = parsed.render_as_string(hide_password=False)
    return Catalog(text, _shown(parsed), engine)


def is_made(url: str | None = None) -> tuple[bool, str]:
    """Tell whether there is a catalog at `url`, and return that URL without password.

    A server that does not answer counts as yes: opening it explains the error.
    """
    parsed = _parse(url or default_url())
    shown = _shown(parsed)
    if parsed.get_backend_name() == "sqlite":
        return os.path.lexists(str(parsed.database)), shown
    engine = create_engine(parsed, connect_args={"connect_timeout": CONNECT_TIMEOUT_S})
    try:
        return bool(inspect(engine).get_table_names()), shown
    except DBAPIError:
        return True, shown
    finally:
        engine.dispose()


@lru_cache
def _warn_of_transport(url: URL) -> None:
    """Warn once if others on the network could read and change the traffic."""
    if host := unprotected_host(url):
        _log.warning(
            "the catalog's server %s is not verified, and the connection may be "
            "unencrypted: add sslmode=verify-full to its URL",
            host,
        )


def insert_or_update(connection: Connection, table: type[Any]) -> Insert:
    """Return an INSERT with ON CONFLICT for `table`, in the database's dialect."""
    if connection.dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)


def _parse(url: str) -> URL:
    try:
        parsed = make_url(re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", url))
    except ArgumentError as err:
        raise RefusedError(_unsupported("the given URL cannot be parsed")) from err
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
        return (
            f"{shown} is not a catalog: the file is not a SQLite database; name another"
        )
    reason = " ".join(str(err.orig).split())
    return (
        f"the catalog {shown} cannot be opened: {reason}; check the URL"
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
