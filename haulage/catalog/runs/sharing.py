"""Overlapping targets: which datasets share one, and whose run is active there.

Several names, addresses or links may lead to one place, so targets are compared in
resolved form. The resolved form of another dataset's target was recorded by its last
run, because its file system may not answer now.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, RowMapping, func, or_, select, update

from haulage.catalog.db.column_types import DatabaseNow
from haulage.catalog.db.engine import Catalog
from haulage.catalog.db.patience import patient
from haulage.catalog.db.tables import DatasetTable, RunTable
from haulage.catalog.runs.driver import LONG_OVER_S, Life
from haulage.catalog.runs.run import RunState, run_of
from haulage.config.policy import Dataset
from haulage.errors import RefusedError, shown_path
from haulage.place import Place, scheme_of

_LOCK_KEY = 0x7461726765747  # "targets", shortened


@dataclass(frozen=True, slots=True)
class Area:
    """The area of a target: everything that begins with `root` at an address."""

    address: tuple[str | None, ...]
    root: bytes

    def way_to(self, other: "Area") -> bytes | None:
        """Return the path from this root to the other; None if that is not inside."""
        inside = self.address == other.address and other.root.startswith(self.root)
        return other.root[len(self.root) :] if inside else None


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A dataset whose target overlaps another; `shares` if its policy allows that.

    `above` leads from its root to the other's, or `below` from the other's to its own.
    """

    id: int
    name: str
    target: str
    shares: bool
    manifest_id: int | None
    above: bytes
    below: bytes


def here(target: Place) -> Area:
    """Return the area of this dataset's target, with links resolved."""
    return _area(target, None if target.is_bucket else _resolved(target.url))


def area_of(dataset: Dataset) -> Area:
    """Return the area of the dataset's target."""
    return here(Place(dataset.target, endpoint=dataset.target_store.endpoint))


def neighbours(connection: Connection, name: str, mine: Area) -> list[Neighbour]:
    """Return the datasets other than `name` that have, or now get, entries there."""
    is_active = select(RunTable.id).where(
        RunTable.dataset_id == DatasetTable.id, RunTable.state == RunState.ACTIVE
    )
    others = (
        select(DatasetTable)
        .where(
            DatasetTable.name != name,
            or_(DatasetTable.manifest_id.is_not(None), is_active.exists()),
        )
        .order_by(DatasetTable.name)
    )
    return [
        found
        for row in connection.execute(others).mappings()
        if (found := _neighbour(row, mine))
    ]


@patient
def around(catalog: Catalog, name: str, target: Place) -> list[Neighbour]:
    """Return the datasets whose targets overlap this one of the dataset `name`."""
    with catalog.read() as connection:
        return neighbours(connection, name, here(target))


@patient
def refuse_unshared(catalog: Catalog, dataset: Dataset) -> None:
    """Refuse a dataset whose target is another one's as well, unless allowed."""
    mine = area_of(dataset)
    with catalog.read() as connection:
        check_shared(connection, dataset, mine)


def one_at_a_time(connection: Connection) -> None:
    """Keep others from starting a run until the transaction ends, as SQLite does."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK_KEY)))


def check_shared(connection: Connection, dataset: Dataset, mine: Area) -> None:
    """Refuse a target that overlaps another, unless either dataset allows it."""
    if dataset.policy.share_target:
        return
    for other in neighbours(connection, dataset.name, mine):
        if not other.shares:
            raise RefusedError(
                f"target {shown_path(dataset.target)} of dataset {dataset.name} "
                f"overlaps the target {shown_path(other.target)} of dataset "
                f"{other.name}; each would overwrite entries of the other. Name "
                f"another target, continue as {other.name}, or, to keep both: "
                "--share-target"
            )


def note_resolved(connection: Connection, dataset: Dataset, mine: Area) -> None:
    """Record the resolved form of the dataset's target."""
    resolved = None if scheme_of(dataset.target) else mine.root
    named = update(DatasetTable).where(DatasetTable.name == dataset.name)
    connection.execute(named.values(target_resolved=resolved))


def check_still_vacant(connection: Connection, dataset_id: int) -> None:
    """Refuse to continue in a target where another dataset's run is active."""
    wanted = select(DatasetTable).where(DatasetTable.id == dataset_id)
    row = connection.execute(wanted).mappings().one()
    check_vacant(connection, row["name"], _recorded(row))


def check_vacant(connection: Connection, name: str, mine: Area) -> None:
    """Refuse a target where another dataset's run is, or may be, active."""
    by_id = {other.id: other for other in neighbours(connection, name, mine)}
    for row in _active(connection, list(by_id)):
        run, other = run_of(row), by_id[row["dataset_id"]]
        life = run.driver.life(row["now"] - row["heartbeat_at"])
        if life is Life.DEAD:
            continue
        what = (
            f"run {run.id} of dataset {other.name}, whose target "
            f"{shown_path(other.target)} overlaps that of {name}, "
        )
        if life is Life.ALIVE:
            raise RefusedError(
                f"{what}is active (process {run.driver.pid} since "
                f"{run.started_at:%Y-%m-%d %H:%M:%S} UTC); wait for it or stop it first"
            )
        raise RefusedError(
            f"{what}was last heard of at {run.heartbeat_at:%H:%M:%S} UTC: try again "
            f"in {LONG_OVER_S // 60} minutes, or, if process {run.driver.pid} of "
            f"{run.driver.host} is certainly dead: haulage abandon {run.id} "
            "--take-over"
        )


def _active(connection: Connection, datasets: list[int]) -> Iterator[RowMapping]:
    wanted = select(RunTable, DatabaseNow().label("now")).where(
        RunTable.dataset_id.in_(datasets), RunTable.state == RunState.ACTIVE
    )
    yield from connection.execute(wanted).mappings()


def _recorded(row: RowMapping) -> Area:
    """Return the area of a recorded dataset's target, without asking a file system."""
    place = Place(row["target"], endpoint=row["target_store"].get("endpoint"))
    return _area(place, row["target_resolved"])


def _neighbour(row: RowMapping, mine: Area) -> Neighbour | None:
    its = _recorded(row)
    above, below = its.way_to(mine), mine.way_to(its)
    if above is None and below is None:
        return None
    return Neighbour(
        row["id"],
        row["name"],
        row["target"],
        bool(row["policy"].get("share_target")),
        row["manifest_id"],
        above or b"",
        below or b"",
    )


def _area(place: Place, resolved: bytes | None) -> Area:
    root = resolved or os.fsencode(place.url)
    if place.is_bucket:
        return Area(place.address, os.fsencode(place.prefix))
    return Area(place.address, root.rstrip(b"/") + b"/")


def _resolved(path: str) -> bytes:
    return os.path.realpath(os.fsencode(path))
