"""Column types and clocks that SQLite and Postgres share."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import TIMESTAMP, BigInteger, Dialect, Integer, String, Text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator, TypeEngine

# SQLite counts rows up by itself only in a column declared exactly INTEGER.
BigId = BigInteger().with_variant(Integer(), "sqlite")


class UtcTime(TypeDecorator[datetime]):
    """Returns times as aware UTC; SQLite stores them as text that sorts."""

    impl = String(32)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the native type where there is one."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(TIMESTAMP(timezone=True))
        return dialect.type_descriptor(String(32))

    def process_bind_param(
        self, value: datetime | None, dialect: Dialect
    ) -> datetime | str | None:
        """Return a time in the form that SQLite's own clock writes."""
        if value is None or dialect.name == "postgresql":
            return value
        utc = value.astimezone(UTC).replace(tzinfo=None)
        return f"{utc.isoformat(timespec='milliseconds')}Z"

    def process_result_value(self, value: object, dialect: Dialect) -> datetime | None:
        """Return the database's value as an aware UTC time."""
        if isinstance(value, str):
            value = datetime.fromisoformat(value)
        return value.astimezone(UTC) if isinstance(value, datetime) else None


class Note(TypeDecorator[str]):
    """Stores any message, with what Postgres text refuses written as escapes.

    That is NUL and what is not Unicode: an error that quotes a file name may have both.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Return `value` with everything escaped that a text column may refuse."""
        if value is None:
            return None
        return value.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


class DatabaseNow(FunctionElement[datetime]):
    """The database's clock at this statement, not at the transaction's start."""

    type = UtcTime()
    inherit_cache = True


@compiles(DatabaseNow, "postgresql")
def _now_on_postgres(_now: DatabaseNow, _compiler: SQLCompiler, **_kw: object) -> str:
    return "clock_timestamp()"


@compiles(DatabaseNow, "sqlite")
def _now_on_sqlite(_now: DatabaseNow, _compiler: SQLCompiler, **_kw: object) -> str:
    return "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"
