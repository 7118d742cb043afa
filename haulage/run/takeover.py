"""Whether a run may be taken over, or gone on with, from this host."""

from haulage.catalog.db.engine import Catalog
from haulage.catalog.runs import runs
from haulage.catalog.runs.runs import Life, Run, RunState
from haulage.errors import CancelledError, RefusedError
from haulage.launch.launcher import STOP
from haulage.run.context.workspace import is_here

_POLL_S = 2.0


def to_resume(
    catalog: Catalog,
    flow_run_id: str | None,
    resume: str | None,
    *,
    take_over: bool = False,
) -> Run | None:
    """Return the run to resume, or None; RefusedError if it may not be resumed."""
    if resume:
        run = runs.find(catalog, resume)
        if run.state not in runs.RESUMABLE:
            raise RefusedError(
                f"run {run.id} is {run.state}; there is nothing to resume"
            )
        check_free(catalog, run, take_over=take_over)
        return run
    earlier = runs.by_flow_run(catalog, flow_run_id) if flow_run_id else None
    if earlier is None or earlier.state not in runs.RESUMABLE:
        return None
    _await_lease(catalog, earlier)
    check_free(catalog, earlier, take_over=take_over)
    return earlier


def _await_lease(catalog: Catalog, run: Run) -> None:
    """Wait until the lease of a silent driver on another host expires."""
    while not run.driver.is_local() and runs.is_driven(catalog, run):
        if STOP.wait(_POLL_S):
            raise CancelledError(f"stopped while it waited for run {run.id}")
        if runs.find(catalog, run.id).heartbeat_at != run.heartbeat_at:
            return  # it lives


def check_free(catalog: Catalog, run: Run, *, take_over: bool = False) -> None:
    """Refuse a run that may have a driver, unless a person declares that one dead.

    On the host of the run's workspace, a late driver is found and ended, and its movers
    are fenced off. Elsewhere only the lease's time decides.
    """
    if run.state is not RunState.ACTIVE:
        return
    life = runs.life_of(catalog, run)
    if life is Life.ALIVE:
        raise RefusedError(
            f"run {run.id} of this dataset is active (process {run.driver.pid} since "
            f"{run.started_at:%Y-%m-%d %H:%M:%S} UTC); wait for it or stop it first"
        )
    if life is Life.SILENT and not is_here(run) and not take_over:
        raise RefusedError(
            f"run {run.id} of this dataset was driven by process {run.driver.pid} of "
            f"{run.driver.host}, whose last heartbeat was at "
            f"{run.heartbeat_at:%H:%M:%S} UTC, and its workspace is not here: "
            f"continue there, try again in {runs.LONG_OVER_S // 60} minutes, or, if "
            "that process is certainly dead, add --take-over"
        )
