"""Runs: begin, drive, take over, end."""

import base64
import secrets
from collections.abc import Iterator, Mapping
from datetime import UTC

from sqlalchemy import (
    ColumnElement,
    Connection,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from haulage.catalog import datasets
from haulage.catalog.db.column_types import DatabaseNow
from haulage.catalog.db.engine import Catalog
from haulage.catalog.db.patience import patient
from haulage.catalog.db.tables import (
    AttemptTable,
    DatasetTable,
    RunTable,
    ShardTable,
)
from haulage.catalog.runs import sharing
from haulage.catalog.runs.driver import HOLD_S, LEASE_S, LONG_OVER_S, Driver, Life
from haulage.catalog.runs.lineage import leaver_of
from haulage.catalog.runs.run import Run, RunState, guarded, lost, must_hit, run_of
from haulage.config.policy import NOTHING_ONCE, Dataset, Once, for_one_run
from haulage.errors import LostRunError, RefusedError

__all__ = [
    "HOLD_S",
    "LEASE_S",
    "LONG_OVER_S",
    "RESUMABLE",
    "Driver",
    "Life",
    "Run",
    "RunState",
    "active",
    "all_of",
    "begin",
    "by_flow_run",
    "end",
    "find",
    "heartbeat",
    "is_driven",
    "life_of",
    "recent",
    "release_shards",
    "settle_in",
    "take_over",
    "unfinished",
]

RESUMABLE = (RunState.ACTIVE, RunState.FAILED, RunState.CANCELLED)

_AT_ONCE = 20  # runs that are read together


@patient
def begin(
    catalog: Catalog,
    dataset: Dataset,
    *,
    trigger: str,
    once: Once = NOTHING_ONCE,
    stands: bool = True,
    flow_run_id: str | None = None,
) -> Run:
    """Start a run of the dataset, based on its current manifest.

    The same transaction records `dataset` as the standing one; unless `stands` is
    false, because only this run uses it. RefusedError if its target belongs to another
    dataset as well, without permission, or while a run of that one is active.
    """
    mine = sharing.area_of(dataset)
    named = DatasetTable.name == dataset.name
    current = select(DatasetTable.manifest_id).where(named)
    try:
        with catalog.begin() as connection:
            sharing.one_at_a_time(connection)
            if stands:
                datasets.record(connection, dataset)
            sharing.note_resolved(connection, dataset, mine)
            sharing.check_shared(connection, dataset, mine)
            sharing.check_vacant(connection, dataset.name, mine)
            statement = insert(RunTable).values(
                id=_new_id(connection),
                number=select(func.coalesce(func.max(RunTable.number), 0) + 1)
                .correlate(None)
                .scalar_subquery(),
                dataset_id=select(DatasetTable.id).where(named).scalar_subquery(),
                temp_token=secrets.token_hex(6),
                trigger=trigger,
                flow_run_id=flow_run_id,
                base_manifest_id=current.scalar_subquery(),
                after_run=leaver_of(current).scalar_subquery(),
                policy=for_one_run(dataset.policy, once).model_dump(mode="json"),
                **_driven_from_here(),
            )
            row_made = connection.execute(statement.returning(RunTable)).mappings()
            return run_of(row_made.one())
    except IntegrityError as err:
        raise RefusedError(_already_active(catalog, dataset.name)) from err


def active(catalog: Catalog, dataset_id: int) -> Run | None:
    """Return the dataset's active run, driven or interrupted."""
    is_active = RunTable.state == RunState.ACTIVE
    return _first(catalog, RunTable.dataset_id == dataset_id, is_active)


def unfinished(catalog: Catalog, dataset_id: int) -> Run | None:
    """Return the run that a new run of the dataset supersedes, or None.

    That is its active run, whichever began last, or its newest if that stopped.
    """
    if run := active(catalog, dataset_id):
        return run
    newest = _first(catalog, RunTable.dataset_id == dataset_id)
    return newest if newest and newest.state in RESUMABLE else None


def find(catalog: Catalog, run_id: str) -> Run:
    """Return the run with this id, or the only one whose id begins or ends with it."""
    if (run := _first(catalog, RunTable.id == run_id)) is not None:
        return run
    is_near = or_(
        RunTable.id.startswith(run_id, autoescape=True),
        RunTable.id.endswith(run_id, autoescape=True),
    )
    runs = _newest(catalog, 6, is_near) if run_id else []
    if len(runs) == 1:
        return runs[0]
    if not runs:
        raise RefusedError(
            f"no run {run_id!r} in {catalog.shown}; 'haulage runs' lists them"
        )
    ids = ", ".join(run.id for run in runs)
    raise RefusedError(f"run {run_id!r} is not unique ({ids}); give more of its id")


def recent(
    catalog: Catalog, dataset_id: int | None = None, limit: int = 20
) -> list[Run]:
    """Return the newest runs, of one dataset or of all, newest first."""
    if dataset_id is None:
        return _newest(catalog, limit)
    return _newest(catalog, limit, RunTable.dataset_id == dataset_id)


def all_of(catalog: Catalog, dataset_id: int) -> Iterator[Run]:
    """Yield the runs of a dataset, newest first; more are read as needed."""
    is_its = RunTable.dataset_id == dataset_id
    some = _newest(catalog, _AT_ONCE, is_its)
    while some:
        yield from some
        some = _newest(catalog, _AT_ONCE, is_its, RunTable.number < some[-1].number)


def by_flow_run(catalog: Catalog, flow_run_id: str) -> Run | None:
    """Return the newest run that this flow run started."""
    return _first(catalog, RunTable.flow_run_id == flow_run_id)


def is_driven(catalog: Catalog, run: Run) -> bool:
    """Tell whether a live process drives the run, as far as that is known."""
    return life_of(catalog, run) is Life.ALIVE


@patient
def life_of(catalog: Catalog, run: Run) -> Life:
    """Tell whether the run's driver lives."""
    wanted = select(RunTable, DatabaseNow().label("now")).where(RunTable.id == run.id)
    with catalog.read() as connection:
        row = connection.execute(wanted).mappings().one()
    if row["state"] != RunState.ACTIVE:
        return Life.DEAD
    return run_of(row).driver.life(row["now"] - row["heartbeat_at"])


@patient
def take_over(
    catalog: Catalog, run: Run, *, goes_on: bool = True, keeps_attempts: bool = False
) -> Run:
    """Make this process the driver of `run`.

    The old driver's token becomes invalid. Unless it `keeps_attempts`, which do not
    need their driver, those that run are lost, and every shard that is not done is
    ready again. If it `goes_on`, RefusedError while a run of
    another dataset is active in its target.
    """
    statement = (
        update(RunTable)
        .where(
            RunTable.id == run.id,
            RunTable.token == run.token,
            RunTable.state.in_(RESUMABLE),
            _is_still_on_top(),
        )
        .values(ended_at=None, heartbeat_at=DatabaseNow(), **_driven_from_here())
        .returning(RunTable)
    )
    try:
        with catalog.begin() as connection:
            sharing.one_at_a_time(connection)
            if goes_on:
                sharing.check_still_vacant(connection, run.dataset_id)
            row = connection.execute(statement).mappings().one_or_none()
            if row is None:
                raise RefusedError(_not_taken(run))
            if not keeps_attempts:
                release_shards(connection, run.id, to="ready")
            return run_of(row)
    except IntegrityError as err:
        name = datasets.get(catalog, run.dataset_id).dataset.name
        raise RefusedError(_already_active(catalog, name)) from err


@patient
def settle_in(catalog: Catalog, run: Run, workspace: str, *, anew: bool) -> Run:
    """Record the run's workspace.

    If it begins `anew`, everything that it has sealed is discarded.
    """
    statement = guarded(run).values(workspace=workspace)
    if anew:
        statement = statement.values(
            listed_until=None, discovered=False, counts={}, live_counts={}
        )
    with catalog.begin() as connection:
        row = connection.execute(statement.returning(RunTable)).mappings().one_or_none()
        if row is None:
            raise LostRunError(lost(run))
        if anew:
            is_of_run = ShardTable.run_id == run.id
            its = select(ShardTable.id).where(is_of_run)
            connection.execute(
                delete(AttemptTable).where(AttemptTable.shard_id.in_(its))
            )
            connection.execute(delete(ShardTable).where(is_of_run))
        return run_of(row)


def heartbeat(
    catalog: Catalog, run: Run, counts: Mapping[str, int] | None = None
) -> None:
    """Record that the run is driven, and its counts."""
    statement = guarded(run).values(heartbeat_at=DatabaseNow())
    if counts is not None:
        statement = statement.values(live_counts=dict(counts))
    with catalog.begin() as connection:
        must_hit(connection, statement, run)


@patient
def end(
    catalog: Catalog, run: Run, state: RunState, summary: Mapping[str, object]
) -> None:
    """End the run; the running shards of a stopped one become ready for a resume."""
    statement = guarded(run).values(
        state=state,
        summary=dict(summary),
        ended_at=DatabaseNow(),
        heartbeat_at=DatabaseNow(),
    )
    with catalog.begin() as connection:
        must_hit(connection, statement, run)
        if state in (RunState.FAILED, RunState.CANCELLED):
            release_shards(connection, run.id, to="ready")


def release_shards(connection: Connection, run_id: str, *, to: str) -> int:
    """Put the run's unfinished shards into the state `to`; their attempts are lost."""
    is_of_run = ShardTable.run_id == run_id
    released = connection.execute(
        update(ShardTable)
        .where(is_of_run, ShardTable.state.in_(["ready", "running", "failed"]))
        .values(state=to, token=None)
    )
    connection.execute(
        update(AttemptTable)
        .where(
            AttemptTable.shard_id.in_(select(ShardTable.id).where(is_of_run)),
            AttemptTable.state == "running",
        )
        .values(state="lost", ended_at=DatabaseNow(), error="the run left it behind")
    )
    return released.rowcount


def _driven_from_here() -> dict[str, object]:
    driver = Driver.here()
    return {
        "token": secrets.token_hex(16),
        "state": RunState.ACTIVE,
        "driver_host": driver.host,
        "driver_pid": driver.pid,
        "driver_pid_started": driver.pid_started,
        "driver_boot": driver.boot,
    }


def _new_id(connection: Connection) -> str:
    now = connection.execute(select(DatabaseNow())).scalar_one()
    tail = base64.b32encode(secrets.token_bytes(5))[:6].decode().lower()
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%S}-{tail}"


def _is_still_on_top() -> ColumnElement[bool]:
    # A run that another one has overtaken would commit a manifest without its work.
    current = (
        select(DatasetTable.manifest_id)
        .where(DatasetTable.id == RunTable.dataset_id)
        .scalar_subquery()
    )
    return or_(
        current.is_not_distinct_from(RunTable.base_manifest_id),
        current == RunTable.manifest_id,
    )


def _first(catalog: Catalog, *conditions: ColumnElement[bool]) -> Run | None:
    return next(iter(_newest(catalog, 1, *conditions)), None)


@patient
def _newest(
    catalog: Catalog, limit: int, *conditions: ColumnElement[bool]
) -> list[Run]:
    wanted = (
        select(RunTable)
        .where(*conditions)
        .order_by(RunTable.number.desc(), RunTable.id.desc())
        .limit(limit)
    )
    with catalog.read() as connection:
        return [run_of(row) for row in connection.execute(wanted).mappings()]


def _not_taken(run: Run) -> str:
    return (
        f"run {run.id} cannot be taken over: it is done or superseded, another"
        " process has just taken it, or a later run has committed since; look at its"
        " state, or start a new run"
    )


def _already_active(catalog: Catalog, name: str) -> str:
    run = active(catalog, datasets.find(catalog, name).id)
    if run is None:
        return "another run of this dataset was active a moment ago; try again"
    if not is_driven(catalog, run):
        return (
            f"run {run.id} of this dataset was interrupted; resume it, or let a new"
            " sync supersede it"
        )
    return (
        f"run {run.id} of this dataset is active (process {run.driver.pid} on"
        f" {run.driver.host}, since {run.started_at:%Y-%m-%d %H:%M:%S} UTC); wait for"
        " it or cancel it"
    )
