"""Drive a run: open its context, and record how it ended."""

import logging
import shutil
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace

from haulage.catalog import events
from haulage.catalog.runs import attempts as attempt_records
from haulage.catalog.runs import runs
from haulage.catalog.runs.runs import Run, RunState
from haulage.errors import CancelledError, HaulageError, own_files
from haulage.exchange.shard_files import LEASE
from haulage.launch.launcher import STOP
from haulage.launch.open import Place, open_launcher
from haulage.private import make_directory, tighten
from haulage.run.context.endpoints import Pair
from haulage.run.context.heartbeat import Heartbeat
from haulage.run.context.progress import RunProgress
from haulage.run.context.request import Request
from haulage.run.context.run_context import RunContext
from haulage.run.context.runner import TaskRunner
from haulage.run.context.workspace import is_here, workspace_of
from haulage.run.guards.preflight import make_target
from haulage.run.recovery.prune import clear_away
from haulage.run.recovery.reopen import reopen
from haulage.run.summary import stopped_summary
from haulage.verbs.attempt.lease import Lease

_log = logging.getLogger(__name__)


@contextmanager
def driven(
    request: Request,
    run: Run,
    runner: TaskRunner | None = None,
    *,
    goes_on: bool = True,
) -> Iterator[RunContext]:
    """Open the context of `run`; record its end if it does not finish.

    Shards that are missing in its workspace count as never done. Afterwards old records
    are removed from the catalog.
    """
    workspace, had_workspace = workspace_of(run), is_here(run)
    for name in ("shards", "outcomes", "progress", "logs"):
        make_directory(workspace / name)
    tighten(workspace.parent)
    pair = request.pair
    launcher = open_launcher(run.policy.launcher, run.policy.movers, _place(run, pair))
    progress = RunProgress(dict(run.counts))
    catalog = replace(request.catalog, hurried=threading.Event())
    lease = Lease.begin(workspace / LEASE)
    heartbeat = Heartbeat(run.id, lease, launcher)
    context = RunContext(
        catalog, request.dataset.name, run, pair, launcher, progress, heartbeat
    )
    context.left_running = attempt_records.running(catalog, run)
    _end_leftovers(context)
    told = own_files(workspace)
    with (
        _end_recorded(context),
        told,
        closing(lease),
        closing(launcher),
        _alive(context, runner),
    ):
        reopen(context, had_workspace=had_workspace, goes_on=goes_on)
        make_target(pair.target)
        if run.base_manifest_id is None:  # a first run, which has work for them
            launcher.warm_up()
        yield context
    clear_away(request.catalog, run.dataset_id, run.policy.keep)


def _place(run: Run, pair: Pair) -> Place:
    """Return what a launcher needs to know of a run."""
    return Place(run.id, workspace_of(run), pair.secrets, pair.roots)


def _end_leftovers(context: RunContext) -> None:
    """Make sure that nobody acts for the run but attempts that are left running."""
    kept = {attempt.token for attempt in context.left_running}
    context.launcher.end_leftovers(kept)
    shutil.rmtree(context.workspace / "spool", ignore_errors=True)
    for file in (context.workspace / "progress").iterdir():
        if file.name.removesuffix(".held").rpartition("-")[2] not in kept:
            file.unlink()  # without it a late mover does nothing


@contextmanager
def _end_recorded(context: RunContext) -> Iterator[None]:
    """Record the end of a run that does not finish."""
    run = context.run
    try:
        yield
    except KeyboardInterrupt as err:
        _record_end(context, err)
        raise CancelledError(
            f"run {run.id} was stopped; 'haulage resume {run.id}' continues it"
        ) from err
    except BaseException as err:
        _record_end(context, err)
        raise


@contextmanager
def _alive(context: RunContext, runner: TaskRunner | None) -> Iterator[None]:
    """Report the progress and send heartbeats until the run ends."""
    context.prove_life()
    watch = context.watch(runner.note if runner else lambda _: None)
    try:
        yield
    finally:
        context.end()
        for thread in watch:
            thread.join()


def _record_end(context: RunContext, err: BaseException) -> None:
    """Record an early end, unless another process drives the run now.

    A failure to record it must not hide why the run ended; without an end the run
    counts as interrupted.
    """
    asked = not isinstance(err, Exception)  # by a signal, as Prefect's cancel is
    stopped = asked or isinstance(err, CancelledError) or STOP.is_set()
    state = RunState.CANCELLED if stopped else RunState.FAILED
    reason = str(err) or type(err).__name__
    try:
        summary = stopped_summary(context, str(state), reason)
        events.note(context.catalog, context.run.id, f"run {state}", {"reason": reason})
        runs.end(context.catalog, context.run, state, summary.as_dict())
    except HaulageError as unrecorded:
        _log.warning(
            "the end of run %s is not recorded: %s", context.run.id, unrecorded
        )
