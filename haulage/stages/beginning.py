"""How a run begins, or goes on, and what becomes of the one before it."""

import os

from haulage.catalog import datasets, events, runs
from haulage.catalog.engine import Catalog
from haulage.catalog.manifests import Manifest
from haulage.catalog.runs import Run, RunState
from haulage.errors import RefusedError
from haulage.stages.discover import Ends
from haulage.stages.driving import driven
from haulage.stages.recognition import begins_anew, check_recognised
from haulage.stages.salvage import supersede
from haulage.stages.site import workspace_of
from haulage.stages.standing import Standing

RESUMABLE = (RunState.ACTIVE, RunState.FAILED, RunState.CANCELLED)


def begin(
    standing: Standing, trigger: str, flow_run_id: str | None, resume: str | None
) -> Run:
    """Begin a run or go on with one; what an earlier one left undone is not lost."""
    catalog = standing.catalog
    earlier = to_resume(catalog, flow_run_id, resume)
    if earlier:
        base = Manifest(catalog, earlier.base_manifest_id)
        check_recognised(Ends(standing.pair, earlier.policy, base, 0.0))
        return _noted(catalog, runs.take_over(catalog, earlier), "resumed", trigger)
    row = datasets.known(catalog, standing.dataset)
    manifest = Manifest(catalog, row.manifest_id if row else None)
    ends = Ends(standing.pair, standing.policy, manifest, 0.0)
    check_recognised(ends)
    latest = next(iter(runs.recent(catalog, row.id, 1)), None) if row else None
    if latest and latest.state in RESUMABLE:
        _check_not_driven(catalog, latest)
        _supersede(standing, latest)
    run = runs.begin(
        catalog,
        standing.dataset,
        once=standing.once,
        stands=standing.stands,
        trigger=trigger,
        flow_run_id=flow_run_id,
        afresh=begins_anew(ends),
    )
    return _noted(catalog, run, "began", trigger)


def _noted(catalog: Catalog, run: Run, what: str, trigger: str) -> Run:
    """Record who began a run or went on with it."""
    detail = {"trigger": trigger, "process": run.driver.pid}
    events.note(catalog, run.id, what, detail, who=f"uid {os.getuid()}")
    return run


def _supersede(standing: Standing, run: Run) -> None:
    """Commit what an unfinished run has done; one without a workspace did nothing."""
    catalog = standing.catalog
    if workspace_of(run).exists():
        with driven(standing, runs.take_over(catalog, run)) as site:
            supersede(site)
    elif run.state is RunState.ACTIVE:
        runs.end(catalog, runs.take_over(catalog, run), RunState.SUPERSEDED, {})


def to_resume(
    catalog: Catalog, flow_run_id: str | None, resume: str | None
) -> Run | None:
    """Return the run to go on with, if there is one; RefusedError if it may not be."""
    if resume:
        run = runs.find(catalog, resume)
        if run.state not in RESUMABLE:
            raise RefusedError(
                f"run {run.id} is {run.state}; there is nothing to resume"
            )
        _check_not_driven(catalog, run)
        return run
    earlier = runs.by_flow_run(catalog, flow_run_id) if flow_run_id else None
    return earlier if earlier and earlier.state in RESUMABLE else None


def _check_not_driven(catalog: Catalog, run: Run) -> None:
    if run.state is RunState.ACTIVE and runs.is_driven(catalog, run):
        raise RefusedError(
            f"run {run.id} of this dataset is active (process {run.driver.pid} since "
            f"{run.started_at:%Y-%m-%d %H:%M:%S} UTC); wait for it or stop it first"
        )
