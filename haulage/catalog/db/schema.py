"""Create and migrate the tables; several processes may do so at once."""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, insert, inspect, select, text

from haulage.catalog.db.tables import CatalogInfo
from haulage.errors import RefusedError
from haulage.private import make_directory, make_file, tighten

HEAD = "0013"
_LOCK_KEY = 0x6861756C616765  # "haulage"
_MADE_ON = select(CatalogInfo.value).where(CatalogInfo.key == "machine")


def bring_up_to_date(engine: Engine, shown: str) -> None:
    """Make sure that `engine` leads to a catalog with this program's tables."""
    on_sqlite = engine.dialect.name == "sqlite"
    if on_sqlite:
        _make_file(Path(str(engine.url.database)), shown)
    reader = engine.execution_options(haulage_reads=True)
    with reader.begin() as connection:
        is_current = _version(connection, shown) == HEAD
    if not is_current:
        lock = _file_lock if on_sqlite else _advisory_lock
        with lock(engine) as connection:
            _migrate(connection, shown)
            if on_sqlite:
                _claim_for_this_machine(connection)
    if on_sqlite:
        with reader.begin() as connection:
            _check_machine(connection, shown)


def machine_id() -> str:
    """Return an id that distinguishes this machine from others."""
    try:
        known = Path("/etc/machine-id").read_text(encoding="ascii").strip()
    except OSError:
        known = ""
    return known or socket.gethostname()


def _make_file(file: Path, shown: str) -> None:
    """Create a file, and SQLite's files beside it, readable by their owner alone.

    SQLite gives its files the mode of this one. An existing file is never opened here:
    closing it would drop the locks that this process has on it.
    """
    try:
        make_directory(file.parent)
        if not file.exists():
            make_file(file)
        tighten(file, *(Path(f"{file}{end}") for end in ("-wal", "-shm")))
    except OSError as err:
        raise RefusedError(
            f"the catalog {shown} cannot be created: {file.parent}: {err.strerror}; "
            "name another place in $HAULAGE_CATALOG or $HAULAGE_HOME"
        ) from err


def _version(connection: Connection, shown: str) -> str | None:
    """Return the revision of the tables, or None for an empty database."""
    names = set(inspect(connection).get_table_names())
    if not names:
        return None
    if not {"alembic_version", "catalog_info"} <= names:
        raise RefusedError(
            f"{shown} is not a catalog: it holds other tables ({min(names)} ...); name"
            " an empty database or a new file"
        )
    version = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return None if version is None else str(version)


@contextmanager
def _file_lock(engine: Engine) -> Iterator[Connection]:
    # Switching to WAL needs the file for itself and does not wait for its turn, so
    # that a lock of its own has to keep the others out.
    lock_fd = os.open(f"{engine.url.database}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock_fd, fcntl.LOCK_EX)
        raw = engine.raw_connection()
        raw.cursor().execute("PRAGMA journal_mode = WAL")
        raw.close()
        with engine.begin() as connection:
            yield connection
    finally:
        os.close(lock_fd)


@contextmanager
def _advisory_lock(engine: Engine) -> Iterator[Connection]:
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:k)"), {"k": _LOCK_KEY})
        yield connection


def _migrate(connection: Connection, shown: str) -> None:
    version = _version(connection, shown)
    if version == HEAD:
        return
    # Slow to import, and not needed but once in a catalog's life.
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    place = str(Path(__file__).parents[1] / "migrations")
    config.set_main_option("script_location", place.replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    known = {s.revision for s in ScriptDirectory.from_config(config).walk_revisions()}
    if version is not None and version not in known:
        raise RefusedError(
            f"the catalog {shown} has schema {version}, newer than the schema {HEAD}"
            " of this program; install the newer Haulage here too"
        )
    command.upgrade(config, HEAD)


def _claim_for_this_machine(connection: Connection) -> None:
    if connection.scalar(_MADE_ON) is None:
        row = {"key": "machine", "value": machine_id()}
        connection.execute(insert(CatalogInfo).values(row))


def _check_machine(connection: Connection, shown: str) -> None:
    made_on = connection.scalar(_MADE_ON)
    if made_on != machine_id():
        raise RefusedError(
            f"the catalog {shown} was made on machine {made_on}, this is"
            f" {machine_id()}: a SQLite catalog serves one machine; for several, use"
            " Postgres ($HAULAGE_CATALOG=postgresql://user@host/database)"
        )
