"""Results of flows, by key."""

from sqlalchemy import select

from haulage.catalog.db.column_types import DatabaseNow
from haulage.catalog.db.engine import Catalog, insert_or_update
from haulage.catalog.db.patience import patient
from haulage.catalog.db.tables import ResultTable
from haulage.errors import RefusedError


@patient
def put(catalog: Catalog, key: str, content: bytes) -> None:
    """Store `content` under `key`, replacing a previous value."""
    with catalog.begin() as connection:
        insert = insert_or_update(connection, ResultTable)
        upsert = insert.values(key=key, content=content).on_conflict_do_update(
            index_elements=["key"],
            set_={"content": content, "stored_at": DatabaseNow()},
        )
        connection.execute(upsert)


@patient
def get(catalog: Catalog, key: str) -> bytes:
    """Return the content of `key`; RefusedError if there is none."""
    wanted = select(ResultTable.content).where(ResultTable.key == key)
    with catalog.read() as connection:
        content = connection.scalar(wanted)
    if content is None:
        raise RefusedError(f"no result {key!r} in {catalog.shown}; was its run pruned?")
    return bytes(content)
