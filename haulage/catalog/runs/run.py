"""A run as its driver sees it, and the guard that checks the driver's token."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, RowMapping, Update, select, update

from haulage.catalog.db.tables import RunTable
from haulage.catalog.runs.driver import Driver
from haulage.config.policy import RECORDED, RunPolicy
from haulage.errors import LostRunError


class RunState(StrEnum):
    """State of a run."""

    ACTIVE = "active"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"
    ABANDONED = "abandoned"


@dataclass(frozen=True)
class Run:
    """One run of a dataset, as its driver sees it."""

    id: str
    number: int
    dataset_id: int
    token: str
    temp_token: str
    state: RunState
    trigger: str
    flow_run_id: str | None
    base_manifest_id: int | None
    manifest_id: int | None
    after_run: str | None  # that left the target as the base says
    policy: RunPolicy
    driver: Driver
    workspace: str | None
    started_at: datetime
    heartbeat_at: datetime
    ended_at: datetime | None
    listed_until: bytes | None
    discovered: bool
    counts: Mapping[str, int]  # the live ones, but as sealed where both have a key
    summary: Mapping[str, object] | None


def guarded(run: Run) -> Update:
    """Return an UPDATE that matches only while `run`'s token drives it."""
    return update(RunTable).where(
        RunTable.id == run.id,
        RunTable.token == run.token,
        RunTable.state == RunState.ACTIVE,
    )


def must_hit(connection: Connection, statement: Update, run: Run) -> None:
    """Execute a `guarded` statement; LostRunError if it matches nothing."""
    if connection.execute(statement).rowcount == 0:
        raise LostRunError(lost(run))


def hold(connection: Connection, run: Run) -> None:
    """Keep `run` driven by its token until the transaction ends."""
    held = (
        select(RunTable.id)
        .where(
            RunTable.id == run.id,
            RunTable.token == run.token,
            RunTable.state == RunState.ACTIVE,
        )
        .with_for_update(key_share=True)
    )
    if connection.scalar(held) is None:
        raise LostRunError(lost(run))


def run_of(row: RowMapping) -> Run:
    """Return the run of a row of the table."""
    same = (
        "id number dataset_id workspace token temp_token trigger flow_run_id"
        " base_manifest_id manifest_id after_run started_at heartbeat_at ended_at"
        " listed_until"
        " discovered summary"
    )
    return Run(
        **{name: row[name] for name in same.split()},
        state=RunState(row["state"]),
        policy=RunPolicy.model_validate(row["policy"], context=RECORDED),
        driver=_driver_of(row),
        counts={**row["live_counts"], **row["counts"]},
    )


def _driver_of(row: RowMapping) -> Driver:
    names = ("driver_host", "driver_pid", "driver_pid_started", "driver_boot")
    return Driver(*(row[name] for name in names))


def lost(run: Run) -> str:
    """Return the message that this process no longer drives the run."""
    return (
        f"run {run.id} is no longer driven by this process: it was taken over or"
        " ended; look at its state before anything else"
    )
