"""Find out whether a transaction committed whose COMMIT was not answered."""

import threading
import time

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

_NUMBER = text("SELECT CAST(pg_current_xact_id_if_assigned() AS text)")
_STATUS = text("SELECT pg_xact_status(CAST(:number AS xid8))")
_ASK_AGAIN_S = 0.2


def number_of(connection: Connection) -> str | None:
    """Return the transaction's number at the server; None if it wrote nothing.

    A SQLite file has no connection that could break.
    """
    if connection.dialect.name != "postgresql":
        return None
    number: str | None = connection.scalar(_NUMBER)
    return number


def was_committed(
    engine: Engine, number: str, hurried: threading.Event, limit_s: float
) -> bool | None:
    """Ask over another connection; None if there is no certain answer in time."""
    until = time.monotonic() + limit_s
    while True:
        status = _status(engine, number)
        if status in ("committed", "aborted"):
            return status == "committed"
        if time.monotonic() > until or hurried.wait(_ASK_AGAIN_S):
            return None


def _status(engine: Engine, number: str) -> str | None:
    try:
        with engine.connect() as connection:
            status: str | None = connection.scalar(_STATUS, {"number": number})
            return status
    except DBAPIError:
        return None  # it is away still
