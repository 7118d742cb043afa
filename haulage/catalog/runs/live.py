"""A run that goes on: what a person wants of it, and what its machines do."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from sqlalchemy import select, update

from haulage.catalog.db.engine import Catalog
from haulage.catalog.db.patience import patient
from haulage.catalog.db.tables import RunTable
from haulage.catalog.runs.run import Run, RunState, guarded, lost
from haulage.errors import LostRunError, RefusedError


@dataclass(frozen=True, slots=True)
class Wanted:
    """How many movers or slots a person wants, and on which machines none."""

    movers: int | None = None
    drained: tuple[str, ...] = ()


def exchange(catalog: Catalog, run: Run, nodes: Sequence[Mapping[str, Any]]) -> Wanted:
    """Record what each machine does now; return what is wanted of the run."""
    statement = guarded(run).values(nodes=[*nodes]).returning(RunTable.wanted)
    with catalog.begin() as connection:
        row = connection.execute(statement).one_or_none()
    if row is None:
        raise LostRunError(lost(run))
    return _wanted_of(row.wanted)


def scale(catalog: Catalog, run: Run, movers: int) -> None:
    """Ask the driver of an active run for so many movers, or slots of movers."""
    _ask(catalog, run, replace(_present(catalog, run), movers=movers))


def drain(catalog: Catalog, run: Run, node: str) -> None:
    """Ask the driver of an active run to use a machine no more.

    RefusedError if the run has nothing on it.
    """
    names = [one["node"] for one in nodes(catalog, run)]
    if node not in names:
        known = f"it is on {', '.join(sorted(names))}" if names else "it is on none yet"
        raise RefusedError(f"run {run.id} has no slots on {node}; {known}")
    present = _present(catalog, run)
    drained = tuple(sorted({*present.drained, node}))
    _ask(catalog, run, replace(present, drained=drained))


@patient
def nodes(catalog: Catalog, run: Run) -> list[dict[str, Any]]:
    """Return what each machine of the run did at its last heartbeat."""
    wanted = select(RunTable.nodes).where(RunTable.id == run.id)
    with catalog.read() as connection:
        return list(connection.scalar(wanted) or ())


@patient
def _present(catalog: Catalog, run: Run) -> Wanted:
    wanted = select(RunTable.wanted).where(RunTable.id == run.id)
    with catalog.read() as connection:
        return _wanted_of(connection.scalar(wanted))


@patient
def _ask(catalog: Catalog, run: Run, wanted: Wanted) -> None:
    is_active = (RunTable.id == run.id) & (RunTable.state == RunState.ACTIVE)
    statement = update(RunTable).where(is_active).values(wanted=asdict(wanted))
    with catalog.begin() as connection:
        if connection.execute(statement).rowcount == 0:
            raise RefusedError(f"run {run.id} is not active; nothing was changed")


def _wanted_of(fields: Mapping[str, Any] | None) -> Wanted:
    if not fields:
        return Wanted()
    return Wanted(fields["movers"], tuple(fields["drained"]))
