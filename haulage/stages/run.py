"""The one sequence of a run, and how a run begins, goes on and ends."""

import os
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from haulage.catalog import datasets, delete_plans, events, runs
from haulage.catalog.datasets import DatasetRow
from haulage.catalog.engine import Catalog, open_catalog
from haulage.catalog.manifests import Manifest
from haulage.catalog.runs import Run, RunState
from haulage.errors import CancelledError, RefusedError
from haulage.launch.base import STOP
from haulage.launch.leftover import end_leftover_movers
from haulage.launch.local import LocalPool
from haulage.policy import Dataset, Delete, Verify
from haulage.stages import passes
from haulage.stages.approval import Approval, approved_plan
from haulage.stages.commit import commit
from haulage.stages.crew import Crew, Summary
from haulage.stages.discover import Ends, discover
from haulage.stages.ends import Pair
from haulage.stages.layouts import prepare_target
from haulage.stages.linking import settle_blocked_links, settle_links
from haulage.stages.meter import Meter
from haulage.stages.preflight import check_ends, check_target
from haulage.stages.recognition import (
    begins_anew,
    check_recognised,
    is_source_recognised,
)
from haulage.stages.report import dry_summary, stopped_summary, summary_of
from haulage.stages.rounds import prove_manifest, settle, settle_blocked
from haulage.stages.salvage import supersede, sweep
from haulage.stages.site import Site, workspace_of
from haulage.stages.undo import bring_back, empty_expired, trash_to_undo
from haulage.stages.wave import run_wave

_VERIFY = "verify"  # the trigger of a run that only verifies
_UNDO = "undo"  # of one that brings back what another has deleted
_DELETES = "deletes"  # of one that carries out an approved plan
_RESUMABLE = (RunState.ACTIVE, RunState.FAILED, RunState.CANCELLED)


@dataclass(frozen=True, slots=True)
class _Standing:
    """What is there before a run: the catalog, the dataset's row, and both ends."""

    catalog: Catalog
    row: DatasetRow
    pair: Pair


def sync(  # noqa: PLR0913  everything a trigger may say of a run
    dataset: Dataset,
    crew: Crew,
    *,
    catalog_url: str | None = None,
    trigger: str = "cli",
    flow_run_id: str | None = None,
    resume: str | None = None,
    dry_run: bool = False,
    keep_policy: bool = False,
    secrets: Mapping[str, str] | None = None,
) -> Summary:
    """Make the dataset's target equal to its source; return what became of it.

    `resume` names a run to go on with; so does a `flow_run_id` that began one. With
    `keep_policy` the dataset's recorded policy stays what it is. `secrets` are
    variables for the environment of movers and listers. RefusedError means that nothing
    was touched; after CancelledError and FatalError the run can be resumed.
    """
    dataset, pair = check_ends(dataset, secrets)
    with open_catalog(catalog_url) as catalog:
        if dry_run:
            return dry_summary(catalog, dataset, pair)
        if keep_policy:
            row = replace(datasets.find(catalog, dataset.name), dataset=dataset)
        else:
            row = datasets.ensure(catalog, dataset)
        standing = _Standing(catalog, row, pair)
        run = _begin(standing, trigger, flow_run_id, resume)
        with _site(standing, run, crew) as site:
            return _carry_out(site, crew)


def resume(run_id: str, crew: Crew, *, catalog_url: str | None = None) -> Summary:
    """Go on with a run that stopped, by the policy that it began with.

    A verification is begun anew: what it found before is kept all the same.
    """
    with open_catalog(catalog_url) as catalog:
        run = runs.find(catalog, run_id)
        dataset = datasets.get(catalog, run.dataset_id).dataset
        approved = delete_plans.applied_by(catalog, run)
    if approved:
        return apply_deletes(
            Approval(approved.id, approved.entries, approved.decided_by or ""),
            crew,
            catalog_url=catalog_url,
            resume=run.id,
        )
    what, _, of_run = run.trigger.partition(" ")
    if what == _UNDO:
        return undo(of_run, crew, catalog_url=catalog_url, resume=run.id)
    if run.trigger == _VERIFY and run.state in _RESUMABLE:
        return verify(dataset.name, crew, catalog_url=catalog_url)
    return sync(dataset, crew, catalog_url=catalog_url, resume=run_id, keep_policy=True)


def verify(name: str, crew: Crew, *, catalog_url: str | None = None) -> Summary:
    """Read all of a dataset's target again; what differs leaves the manifest."""
    with open_catalog(catalog_url) as catalog:
        row = datasets.find(catalog, name)
        _, pair = check_ends(row.dataset)
        policy = row.dataset.policy.model_copy(update={"verify": Verify.CHECKSUM})
        row = replace(row, dataset=row.dataset.model_copy(update={"policy": policy}))
        standing = _Standing(catalog, row, pair)
        run = _begin(standing, _VERIFY, None, None)
        with _site(standing, run, crew) as site:
            prove_manifest(site, crew)
            return _finish(site, crew)


def apply_deletes(
    approval: Approval,
    crew: Crew,
    *,
    catalog_url: str | None = None,
    flow_run_id: str | None = None,
    resume: str | None = None,
    secrets: Mapping[str, str] | None = None,
) -> Summary:
    """Carry out a delete plan that a person approved, as a run of its own.

    Every entry is proven again: gone at the source, and in the target as we made it.
    """
    with open_catalog(catalog_url) as catalog:
        earlier = _to_resume(catalog, flow_run_id, resume)
        plan = approved_plan(catalog, approval, earlier)
        row = datasets.get(catalog, plan.dataset_id)
        _, pair = check_ends(row.dataset, secrets)
        standing = _Standing(catalog, row, pair)
        run = _begin(standing, _DELETES, flow_run_id, resume)
        with _site(standing, run, crew) as site:
            delete_plans.approve(catalog, run, plan, approval.who)
            passes.delete_approved(site, crew, plan)
            sweep(site)
            passes.finish_dirs(site, crew)
            return _finish(site, crew)


def undo(
    run_id: str,
    crew: Crew,
    *,
    catalog_url: str | None = None,
    resume: str | None = None,
) -> Summary:
    """Bring back what a run moved into the trash, where nothing stands in the way.

    The source may be gone: then changed directories keep the times that they have.
    """
    with open_catalog(catalog_url) as catalog:
        undone = runs.find(catalog, run_id)
        trash = trash_to_undo(catalog, undone.id, resumed=resume is not None)
        row = datasets.get(catalog, undone.dataset_id)
        looks_away = {"delete": Delete.OFF, "allow_empty_source": True}
        policy = row.dataset.policy.model_copy(update=looks_away)
        row = replace(row, dataset=row.dataset.model_copy(update={"policy": policy}))
        standing = _Standing(catalog, row, check_target(row.dataset))
        run = _begin(standing, f"{_UNDO} {undone.id}", None, resume)
        with _site(standing, run, crew) as site:
            bring_back(site, crew, trash)
            base = Manifest(catalog, run.base_manifest_id)
            if is_source_recognised(Ends(site.pair, run.policy, base, 0.0)):
                passes.finish_dirs(site, crew)
            return _finish(site, crew)


def _carry_out(site: Site, crew: Crew) -> Summary:
    """Carry out the sequence. Every step asks the catalog what is left of it to do."""
    prepare_target(site)
    waves = [
        crew.start(wave.name, partial(run_wave, site, wave)) for wave in discover(site)
    ]
    site.meter.stage = "copy"
    for wave in waves:
        wave.result()
    settle(site, crew)
    settle_links(site, crew)
    passes.delete(site, crew)
    settle_blocked(site, crew)
    settle_blocked_links(site, crew)
    sweep(site)
    empty_expired(site)
    passes.finish_dirs(site, crew)
    return _finish(site, crew)


def _finish(site: Site, crew: Crew) -> Summary:
    """Commit what the passes have done and say what it adds up to."""
    site.meter.stage = "commit"
    ledger = crew.call("commit the manifest", partial(commit, site))
    summary = summary_of(site, ledger)
    runs.end(site.catalog, site.run, RunState.DONE, summary.as_dict())
    shutil.rmtree(site.workspace, ignore_errors=True)
    return summary


def _begin(
    standing: _Standing, trigger: str, flow_run_id: str | None, resume: str | None
) -> Run:
    """Begin a run or go on with one; what an earlier one left undone is not lost."""
    catalog, row = standing.catalog, standing.row
    earlier = _to_resume(catalog, flow_run_id, resume)
    if earlier:
        base = Manifest(catalog, earlier.base_manifest_id)
        check_recognised(Ends(standing.pair, earlier.policy, base, 0.0))
        return _noted(catalog, runs.take_over(catalog, earlier), "resumed", trigger)
    ends = Ends(
        standing.pair,
        row.dataset.policy,
        Manifest(catalog, row.manifest_id),
        0.0,
    )
    check_recognised(ends)
    latest = next(iter(runs.recent(catalog, row.id, 1)), None)
    if latest and latest.state in _RESUMABLE:
        _check_not_driven(catalog, latest)
        _supersede(standing, latest)
    run = runs.begin(
        catalog,
        row,
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


def _supersede(standing: _Standing, run: Run) -> None:
    """Commit what an unfinished run has done; one without a workspace did nothing."""
    catalog = standing.catalog
    if workspace_of(run).exists():
        with _site(standing, runs.take_over(catalog, run)) as site:
            supersede(site)
    elif run.state is RunState.ACTIVE:
        runs.end(catalog, runs.take_over(catalog, run), RunState.SUPERSEDED, {})


def _to_resume(
    catalog: Catalog, flow_run_id: str | None, resume: str | None
) -> Run | None:
    if resume:
        run = runs.find(catalog, resume)
        if run.state not in _RESUMABLE:
            raise RefusedError(
                f"run {run.id} is {run.state}; there is nothing to resume"
            )
        _check_not_driven(catalog, run)
        return run
    earlier = runs.by_flow_run(catalog, flow_run_id) if flow_run_id else None
    return earlier if earlier and earlier.state in _RESUMABLE else None


def _check_not_driven(catalog: Catalog, run: Run) -> None:
    if run.state is RunState.ACTIVE and runs.is_driven(catalog, run):
        raise RefusedError(
            f"run {run.id} of this dataset is active (process {run.driver.pid} since "
            f"{run.started_at:%Y-%m-%d %H:%M:%S} UTC); wait for it or stop it first"
        )


@contextmanager
def _site(standing: _Standing, run: Run, crew: Crew | None = None) -> Iterator[Site]:
    """Open the place where `run` happens; record its end if it did not finish."""
    workspace = workspace_of(run)
    end_leftover_movers(workspace / "logs")
    for name in ("spool", "progress"):  # without its file a late mover does nothing
        shutil.rmtree(workspace / name, ignore_errors=True)
    for name in ("shards", "outcomes", "progress", "logs"):
        (workspace / name).mkdir(parents=True, exist_ok=True)
    pair = standing.pair
    if not pair.target.is_bucket:
        Path(pair.target.url).mkdir(parents=True, exist_ok=True)
    pool = LocalPool(run.policy.movers, workspace / "logs", pair.secrets)
    meter = Meter(dict(run.counts))
    catalog = replace(standing.catalog, hurried=threading.Event())
    site = Site(catalog, standing.row, run, pair, pool, meter)
    with _end_recorded(site), closing(pool), _watched(site, crew):
        if run.base_manifest_id is None:  # a first run, which has work for them
            pool.begin(warm=True)
        yield site


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
def _watched(site: Site, crew: Crew | None) -> Iterator[None]:
    """Tell of the progress and prove that the driver lives, until the run ends."""
    watch = site.watch(crew.note if crew else lambda _: None)
    try:
        yield
    finally:
        site.end()
        for thread in watch:
            thread.join()


def _record_end(site: Site, err: BaseException) -> None:
    """Record an early end, unless the run is no longer ours."""
    asked = not isinstance(err, Exception)  # by a signal, as Prefect's cancel is
    stopped = asked or isinstance(err, CancelledError) or STOP.is_set()
    state = RunState.CANCELLED if stopped else RunState.FAILED
    summary = stopped_summary(site, str(state), str(err) or type(err).__name__)
    events.note(site.catalog, site.run.id, f"run {state}", {"reason": str(err)})
    runs.end(site.catalog, site.run, state, summary.as_dict())
