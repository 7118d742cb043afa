"""Start or resume a run, superseding an unfinished predecessor."""

import os

from haulage.catalog import datasets, events
from haulage.catalog.datasets import DatasetRow
from haulage.catalog.db.engine import Catalog
from haulage.catalog.manifests.reader import Manifest
from haulage.catalog.runs import runs, sharing
from haulage.catalog.runs import shards as ledger
from haulage.catalog.runs.driver import boot_id
from haulage.catalog.runs.runs import Run
from haulage.catalog.runs.shards import ShardState
from haulage.config.launchers import Slots
from haulage.config.policy import Fsync, RunPolicy
from haulage.model import Pass
from haulage.run.context.request import Request
from haulage.run.context.workspace import is_here
from haulage.run.discovery.discover import Comparison
from haulage.run.drive import driven
from haulage.run.guards.launcher import check_launcher
from haulage.run.guards.recognition import Looking, check_recognised
from haulage.run.recovery.supersede import supersede
from haulage.run.takeover import check_free, to_resume

_PROOFS = (Pass.PUBLISH, Pass.VERIFY, Pass.DIRS)


def begin(
    request: Request, trigger: str, flow_run_id: str | None, resume: str | None
) -> Run:
    """Start or resume a run; an unfinished predecessor is committed first."""
    catalog = request.catalog
    take_over = request.once.take_over
    earlier = to_resume(catalog, flow_run_id, resume, take_over=take_over)
    check_launcher(request.pair, earlier.policy if earlier else request.policy)
    if earlier:
        its = datasets.get(catalog, earlier.dataset_id)
        check_recognised(_looking(request, its, earlier.policy, earlier))
        taken = _taken(request, earlier, goes_on=True)
        return _noted(catalog, taken, "resumed", trigger)
    sharing.refuse_unshared(catalog, request.dataset)
    row = datasets.known(catalog, request.dataset)
    if row:
        check_recognised(_looking(request, row, request.policy))
    if row and (latest := runs.unfinished(catalog, row.id)):
        check_free(catalog, latest, take_over=take_over)
        _supersede(request, latest)
    run = runs.begin(
        catalog,
        request.dataset,
        once=request.once,
        stands=request.stands,
        trigger=trigger,
        flow_run_id=flow_run_id,
    )
    return _noted(catalog, run, "began", trigger)


def _looking(
    request: Request, row: DatasetRow, policy: RunPolicy, run: Run | None = None
) -> Looking:
    """Return what the checks of both endpoints need before a run starts or resumes."""
    base = run.base_manifest_id if run else row.manifest_id
    comparison = Comparison(request.pair, policy, Manifest(request.catalog, base), 0.0)
    return Looking(request.catalog, row.id, row.dataset.name, comparison, run)


def _noted(catalog: Catalog, run: Run, what: str, trigger: str) -> Run:
    """Record who started or resumed a run."""
    detail = {"trigger": trigger, "process": run.driver.pid}
    events.note(catalog, run.id, what, detail, who=f"uid {os.getuid()}")
    return run


def _supersede(request: Request, run: Run) -> None:
    """Commit what an unfinished run has done, as far as that is known."""
    taken = _taken(request, run, goes_on=False)
    with driven(request, taken, goes_on=False) as context:
        supersede(context)


def _taken(request: Request, run: Run, *, goes_on: bool) -> Run:
    """Take a run over; what a power cut may have undone is verified again.

    Movers on other machines do not need their driver: their attempts go on, if the run
    does and its workspace is here. Content that was not forced to disk may have been
    read back from memory.
    """
    catalog, target = request.catalog, request.pair.target
    is_remote = isinstance(run.policy.launcher, Slots)
    keeps = goes_on and is_remote and is_here(run)
    taken = runs.take_over(catalog, run, keeps_attempts=keeps)
    is_same_boot = run.driver.boot in (None, boot_id())
    if not (is_same_boot or target.is_bucket or run.policy.fsync is Fsync.FILE):
        done = ledger.listed(catalog, run.id, states=[ShardState.DONE])
        ledger.undo(catalog, taken, [one for one in done if one.pass_ in _PROOFS])
    return taken
