"""What may be asked for, each as a run, and the one sequence of a sync."""

import os
import shutil
from collections.abc import Callable, Mapping
from functools import partial

from haulage.catalog import datasets, delete_plans, events, runs
from haulage.catalog.engine import open_catalog
from haulage.catalog.lineage import VERIFY
from haulage.catalog.looking import looked_into
from haulage.catalog.manifests import Manifest
from haulage.catalog.runs import Run, RunState
from haulage.errors import HaulageError, RefusedError
from haulage.policy import NOTHING_ONCE, Dataset, Delete, Once, Policy, Verify
from haulage.stages import deleting
from haulage.stages.approval import Approval, approved_plan
from haulage.stages.basing import settle_base
from haulage.stages.beginning import begin, check_free, to_resume
from haulage.stages.commit import commit
from haulage.stages.crew import Crew, Summary
from haulage.stages.discover import Ends, discover
from haulage.stages.driving import driven
from haulage.stages.finishing import finish_dirs
from haulage.stages.layouts import prepare_target
from haulage.stages.linking import settle_blocked_links, settle_links
from haulage.stages.planning import Planned
from haulage.stages.preflight import check_ends, check_target
from haulage.stages.recognition import is_source_recognised
from haulage.stages.report import dry_summary, summary_of
from haulage.stages.rounds import prove_manifest, settle, settle_blocked
from haulage.stages.salvage import sweep
from haulage.stages.site import Site
from haulage.stages.standing import Standing
from haulage.stages.undo import bring_back, empty_expired, trash_to_undo
from haulage.stages.wave import run_wave
from haulage.stages.workspace import workspace_of

_UNDO = "undo"  # of one that brings back what another has deleted
_DELETES = "deletes"  # of one that carries out an approved plan


def sync(  # noqa: PLR0913  everything a trigger may say of a run
    dataset: Dataset,
    crew: Crew,
    *,
    once: Once = NOTHING_ONCE,
    catalog_url: str | None = None,
    trigger: str = "cli",
    flow_run_id: str | None = None,
    resume: str | None = None,
    keep_policy: bool = False,
    secrets: Mapping[str, str] | None = None,
) -> Summary:
    """Make the dataset's target equal to its source; return what became of it.

    `resume` names a run to go on with; so does a `flow_run_id` that began one. The
    dataset's recorded policy becomes what `dataset` says when a run begins, or stays
    what it is with `keep_policy`; what is asked for `once` is never recorded there.
    `secrets` are variables for the environment of movers and listers. RefusedError
    means that nothing was touched; after CancelledError and FatalError the run can be
    resumed.
    """
    dataset, pair = check_ends(dataset, secrets, once)
    with open_catalog(catalog_url) as catalog:
        standing = Standing(catalog, dataset, pair, once, stands=not keep_policy)
        run = begin(standing, trigger, flow_run_id, resume)
        with driven(standing, run, crew) as site:
            settle_base(site)
            return _carry_out(site, crew)


def plan(
    dataset: Dataset,
    tell: Callable[[Planned], None] = lambda _: None,
    *,
    once: Once = NOTHING_ONCE,
    catalog_url: str | None = None,
    secrets: Mapping[str, str] | None = None,
) -> Summary:
    """Return what `sync` would do, having written nothing anywhere.

    `tell` is told page by page. What a run could not read makes the exit code 1.
    """
    dataset, pair = check_ends(dataset, secrets, once, looks=True)
    with looked_into(catalog_url) as catalog:
        return dry_summary(Standing(catalog, dataset, pair, once), tell)


def resume(
    run_id: str,
    crew: Crew,
    *,
    catalog_url: str | None = None,
    take_over: bool = False,
) -> Summary:
    """Go on with a run that stopped, by the policy that it began with.

    A verification is begun anew: what it found before is kept all the same.
    """
    with open_catalog(catalog_url) as catalog:
        run = runs.find(catalog, run_id)
        dataset = datasets.get(catalog, run.dataset_id).dataset
        approved = delete_plans.applied_by(catalog, run)
    once = run.policy.once.model_copy(update={"take_over": take_over})
    if approved:
        return apply_deletes(
            Approval(approved.id, approved.entries, approved.decided_by or ""),
            crew,
            once=once,
            catalog_url=catalog_url,
            resume=run.id,
        )
    what, _, of_run = run.trigger.partition(" ")
    if what == _UNDO:
        return undo(of_run, crew, once=once, catalog_url=catalog_url, resume=run.id)
    if run.trigger == VERIFY and run.state in runs.RESUMABLE:
        return verify(dataset.name, crew, once=once, catalog_url=catalog_url)
    return sync(
        dataset,
        crew,
        once=once,
        catalog_url=catalog_url,
        resume=run_id,
        keep_policy=True,
    )


def verify(
    name: str,
    crew: Crew,
    *,
    once: Once = NOTHING_ONCE,
    catalog_url: str | None = None,
) -> Summary:
    """Read all of a dataset's target again; what differs leaves the manifest."""
    with open_catalog(catalog_url) as catalog:
        dataset, pair = check_ends(datasets.find(catalog, name).dataset)
        dataset = _changed(dataset, verify=Verify.CHECKSUM, share_target=True)
        standing = Standing(catalog, dataset, pair, once)
        run = begin(standing, VERIFY, None, None)
        with driven(standing, run, crew) as site:
            settle_base(site)
            prove_manifest(site, crew)
            return _finish(site, crew)


def apply_deletes(  # noqa: PLR0913  everything a trigger may say of a run
    approval: Approval,
    crew: Crew,
    *,
    once: Once = NOTHING_ONCE,
    catalog_url: str | None = None,
    flow_run_id: str | None = None,
    resume: str | None = None,
    secrets: Mapping[str, str] | None = None,
) -> Summary:
    """Carry out a delete plan that a person approved, as a run of its own.

    Every entry is proven again: gone at the source, and in the target as we made it.
    """
    with open_catalog(catalog_url) as catalog:
        taken = once.take_over
        earlier = to_resume(catalog, flow_run_id, resume, take_over=taken)
        plan = approved_plan(catalog, approval, earlier)
        dataset = datasets.get(catalog, plan.dataset_id).dataset
        dataset, pair = check_ends(_changed(dataset, share_target=True), secrets)
        standing = Standing(catalog, dataset, pair, once)
        run = begin(standing, _DELETES, flow_run_id, resume)
        with driven(standing, run, crew) as site:
            settle_base(site)
            delete_plans.approve(catalog, run, plan, approval.who)
            deleting.delete_approved(site, crew, plan)
            sweep(site)
            finish_dirs(site, crew)
            return _finish(site, crew)


def undo(
    run_id: str,
    crew: Crew,
    *,
    once: Once = NOTHING_ONCE,
    catalog_url: str | None = None,
    resume: str | None = None,
) -> Summary:
    """Bring back what a run moved into the trash, where nothing stands in the way.

    The source may be gone: then changed directories keep the times that they have.
    """
    with open_catalog(catalog_url) as catalog:
        undone = runs.find(catalog, run_id)
        trash = trash_to_undo(catalog, undone.id, resumed=resume is not None)
        dataset = datasets.get(catalog, undone.dataset_id).dataset
        dataset = _changed(dataset, delete=Delete.OFF, share_target=True)
        once = once.model_copy(update={"allow_empty_source": True})
        standing = Standing(catalog, dataset, check_target(dataset), once)
        run = begin(standing, f"{_UNDO} {undone.id}", None, resume)
        with driven(standing, run, crew) as site:
            settle_base(site)
            bring_back(site, crew, trash)
            base = Manifest(catalog, site.run.base_manifest_id)
            if is_source_recognised(Ends(site.pair, run.policy, base, 0.0)):
                finish_dirs(site, crew)
            return _finish(site, crew)


def abandon(
    run_id: str, *, catalog_url: str | None = None, take_over: bool = False
) -> Run:
    """Give up a run that stopped: nothing goes on with it, nothing of it is committed.

    What it copied stays in the target, where the next run finds it; so do temporaries,
    unless they can be removed now.
    """
    with open_catalog(catalog_url) as catalog:
        run = runs.find(catalog, run_id)
        if run.state not in runs.RESUMABLE:
            raise RefusedError(f"run {run.id} is {run.state}; there is nothing to end")
        check_free(catalog, run, take_over=take_over)
        dataset = datasets.get(catalog, run.dataset_id).dataset
        run = runs.take_over(catalog, run, goes_on=False)
        try:
            standing = Standing(catalog, dataset, check_target(dataset))
            with driven(standing, run, goes_on=False) as site:
                sweep(site)
        except (HaulageError, OSError) as err:
            stopped = runs.find(catalog, run.id)
            run = runs.take_over(catalog, stopped, goes_on=False)
            events.note(catalog, run.id, "not swept", {"reason": str(err)})
        events.note(catalog, run.id, "abandoned", {}, who=f"uid {os.getuid()}")
        runs.end(catalog, run, RunState.ABANDONED, {})
        shutil.rmtree(workspace_of(run), ignore_errors=True)
        return runs.find(catalog, run.id)


def _changed(dataset: Dataset, **policy: object) -> Dataset:
    changed: Policy = dataset.policy.model_copy(update=policy)
    return dataset.model_copy(update={"policy": changed})


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
    deleting.delete(site, crew)
    settle_blocked(site, crew)
    settle_blocked_links(site, crew)
    sweep(site)
    empty_expired(site)
    finish_dirs(site, crew)
    return _finish(site, crew)


def _finish(site: Site, crew: Crew) -> Summary:
    """Commit what the passes have done and say what it adds up to."""
    site.meter.stage = "commit"
    ledger = crew.call("commit the manifest", partial(commit, site))
    summary = summary_of(site, ledger)
    runs.end(site.catalog, site.run, RunState.DONE, summary.as_dict())
    shutil.rmtree(site.workspace, ignore_errors=True)
    return summary
