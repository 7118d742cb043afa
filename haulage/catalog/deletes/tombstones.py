"""Tombstones: deleted entries, and who approved them."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice

import xxhash
from sqlalchemy import select, update

from haulage.catalog.db.column_types import DatabaseNow
from haulage.catalog.db.engine import Catalog, insert_or_update
from haulage.catalog.db.patience import patient
from haulage.catalog.db.tables import TombstoneTable
from haulage.catalog.runs.run import Run, hold

_BATCH_ROWS = 1000


@dataclass(frozen=True)
class Tombstone:
    """An entry that is no longer in the target."""

    path: bytes
    kind: int
    size: int


@patient
def add(catalog: Catalog, run: Run, approved_by: str, rows: Sequence[Tombstone]) -> int:
    """Record deletions, and return how many are new; a path counts once a run."""
    added = 0
    rest = iter(rows)
    with catalog.begin() as connection:
        hold(connection, run)
        insert = insert_or_update(connection, TombstoneTable).on_conflict_do_nothing()
        statement = insert.returning(TombstoneTable.path_hash)
        while batch := list(islice(rest, _BATCH_ROWS)):
            values = [_values(run, approved_by, tombstone) for tombstone in batch]
            added += len(connection.execute(statement, values).all())
    return added


@patient
def of_run(catalog: Catalog, run_id: str) -> list[Tombstone]:
    """Return the tombstones of a run, in canonical order."""
    table = TombstoneTable
    wanted = select(table.path, table.kind, table.size).where(table.run_id == run_id)
    with catalog.read() as connection:
        rows = connection.execute(wanted.order_by(table.path)).mappings()
        return [Tombstone(**row) for row in rows]


def paths(catalog: Catalog, run_id: str, at_once: int) -> Iterator[list[bytes]]:
    """Yield the paths that a run deleted and nobody restored, in canonical order."""
    table = TombstoneTable
    is_gone = (table.run_id == run_id, table.restored_at.is_(None))
    wanted = select(table.path).where(*is_gone).order_by(table.path)
    with catalog.read() as connection:
        streamed = connection.execution_options(yield_per=at_once)
        for part in streamed.scalars(wanted).partitions():
            yield list(part)


@patient
def restored(
    catalog: Catalog, run: Run, deleted_by: str, brought_back: list[bytes]
) -> None:
    """Record that `run` restored entries that another run deleted."""
    table = TombstoneTable
    with catalog.begin() as connection:
        hold(connection, run)
        for start in range(0, len(brought_back), _BATCH_ROWS):
            batch = brought_back[start : start + _BATCH_ROWS]
            hashes = [xxhash.xxh3_128_digest(path) for path in batch]
            ours = (table.run_id == deleted_by, table.path_hash.in_(hashes))
            values = {"restored_at": DatabaseNow()}
            connection.execute(update(table).where(*ours).values(values))


def _values(run: Run, approved_by: str, tombstone: Tombstone) -> dict[str, object]:
    return {
        **asdict(tombstone),
        "run_id": run.id,
        "path_hash": xxhash.xxh3_128_digest(tombstone.path),
        "approved_by": approved_by,
    }
