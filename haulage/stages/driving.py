"""Drives a run: opens the place where it happens, and records how it ended."""

import logging
import shutil
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace

from haulage.catalog import events, runs
from haulage.catalog.runs import Run, RunState
from haulage.errors import CancelledError, HaulageError, own_files
from haulage.launch.base import STOP
from haulage.launch.leftover import end_leftover_movers
from haulage.launch.local import LocalPool
from haulage.ops.lease import Lease
from haulage.private import make_directory, tighten
from haulage.shardfile import LEASE
from haulage.stages.clearing import clear_away
from haulage.stages.crew import Crew
from haulage.stages.meter import Meter
from haulage.stages.preflight import make_target
from haulage.stages.reopening import reopen
from haulage.stages.report import stopped_summary
from haulage.stages.site import Site
from haulage.stages.standing import Standing
from haulage.stages.workspace import is_here, workspace_of

_log = logging.getLogger(__name__)


@contextmanager
def driven(
    standing: Standing, run: Run, crew: Crew | None = None, *, goes_on: bool = True
) -> Iterator[Site]:
    """Open the place where `run` happens; record its end if it did not finish.

    What is not in its workspace any more counts as never done. Afterwards the catalog
    is cleared of what nothing needs any more.
    """
    workspace, had_workspace = workspace_of(run), is_here(run)
    end_leftover_movers(workspace / "logs")
    for name in ("spool", "progress"):  # without its file a late mover does nothing
        shutil.rmtree(workspace / name, ignore_errors=True)
    for name in ("shards", "outcomes", "progress", "logs"):
        make_directory(workspace / name)
    tighten(workspace.parent)
    pair = standing.pair
    pool = LocalPool(run.policy.movers, workspace / "logs", pair.secrets)
    meter = Meter(dict(run.counts))
    catalog = replace(standing.catalog, hurried=threading.Event())
    lease = Lease.begin(workspace / LEASE)
    site = Site(catalog, standing.dataset.name, run, pair, pool, meter, lease)
    told = own_files(workspace)
    with (
        _end_recorded(site),
        told,
        closing(lease),
        closing(pool),
        _alive(site, crew),
    ):
        reopen(site, had_workspace=had_workspace, goes_on=goes_on)
        make_target(pair.target)
        if run.base_manifest_id is None:  # a first run, which has work for them
            pool.begin(warm=True)
        yield site
    clear_away(standing.catalog, run.dataset_id, run.policy.keep)


@contextmanager
def _end_recorded(site: Site) -> Iterator[None]:
    """Record the end of a run that does not finish."""
    run = site.run
    try:
        yield
    except KeyboardInterrupt as err:
        _record_end(site, err)
        raise CancelledError(
            f"run {run.id} was stopped; 'haulage resume {run.id}' goes on"
        ) from err
    except BaseException as err:
        _record_end(site, err)
        raise


@contextmanager
def _alive(site: Site, crew: Crew | None) -> Iterator[None]:
    """Tell of the progress and prove that the driver lives, until the run ends."""
    site.prove_life(waits=True)
    watch = site.watch(crew.note if crew else lambda _: None)
    try:
        yield
    finally:
        site.end()
        for thread in watch:
            thread.join()


def _record_end(site: Site, err: BaseException) -> None:
    """Record an early end, unless the run is no longer ours.

    What can not be recorded must not hide why the run ended; without an end it is one
    that was interrupted.
    """
    asked = not isinstance(err, Exception)  # by a signal, as Prefect's cancel is
    stopped = asked or isinstance(err, CancelledError) or STOP.is_set()
    state = RunState.CANCELLED if stopped else RunState.FAILED
    reason = str(err) or type(err).__name__
    try:
        summary = stopped_summary(site, str(state), reason)
        events.note(site.catalog, site.run.id, f"run {state}", {"reason": reason})
        runs.end(site.catalog, site.run, state, summary.as_dict())
    except HaulageError as unrecorded:
        _log.warning("the end of run %s is not recorded: %s", site.run.id, unrecorded)
