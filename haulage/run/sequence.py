"""The entry points (sync, resume, verify, undo, ...) and the one sequence of a run."""

import os
import shutil
from collections.abc import Callable, Mapping
from functools import partial

from haulage.catalog import datasets, events
from haulage.catalog.db.engine import open_catalog
from haulage.catalog.db.read_only import looked_into
from haulage.catalog.deletes import delete_plans
from haulage.catalog.manifests.reader import Manifest
from haulage.catalog.runs import runs
from haulage.catalog.runs.lineage import VERIFY
from haulage.catalog.runs.runs import Run, RunState
from haulage.config.policy import NOTHING_ONCE, Dataset, Delete, Once, Policy, Verify
from haulage.errors import HaulageError, RefusedError
from haulage.run.begin import begin
from haulage.run.context.request import Request
from haulage.run.context.run_context import RunContext
from haulage.run.context.runner import Summary, TaskRunner
from haulage.run.context.workspace import workspace_of
from haulage.run.discovery.discover import Comparison, discover
from haulage.run.drive import driven
from haulage.run.dry_run import Planned
from haulage.run.guards.approval import Approval, approved_plan
from haulage.run.guards.lustre import prepare_target
from haulage.run.guards.preflight import check_ends, check_target
from haulage.run.guards.recognition import is_source_recognised
from haulage.run.links.link import (
    settle_blocked_links,
    settle_links,
    verify_link_copies,
)
from haulage.run.manifest.commit import commit
from haulage.run.pass_order import (
    COPIES,
    DELETES,
    DIRECTORIES,
    LINK_COPIES,
    LINKS,
    ORDER,
    UNBLOCKED,
    UNBLOCKED_LINKS,
    Phase,
)
from haulage.run.passes import delete as deleting
from haulage.run.passes.dirs import finish_dirs
from haulage.run.passes.retries import settle, settle_blocked
from haulage.run.passes.undo import bring_back, empty_expired, trash_to_undo
from haulage.run.passes.verify import prove_manifest
from haulage.run.rebase import settle_base
from haulage.run.recovery.supersede import sweep
from haulage.run.sharding.waves import run_wave
from haulage.run.summary import dry_summary, summary_of
from haulage.run.takeover import check_free, to_resume

_UNDO = "undo"  # of one that brings back what another has deleted
_DELETES = "deletes"  # of one that carries out an approved plan


def sync(  # noqa: PLR0913  everything a trigger may say of a run
    dataset: Dataset,
    runner: TaskRunner,
    *,
    once: Once = NOTHING_ONCE,
    catalog_url: str | None = None,
    trigger: str = "cli",
    flow_run_id: str | None = None,
    resume: str | None = None,
    keep_policy: bool = False,
    secrets: Mapping[str, str] | None = None,
) -> Summary:
    """Make the dataset's target equal to its source; return the summary.

    `resume` names a run to resume; so does a `flow_run_id` that started one. When a run
    starts, the policy of `dataset` becomes the recorded one, unless `keep_policy`;
    options of `once` are never recorded. `secrets` are variables for the environment of
    movers and listers. RefusedError means that nothing was touched; after
    CancelledError and FatalError the run can be resumed.
    """
    dataset, pair = check_ends(dataset, secrets, once)
    with open_catalog(catalog_url) as catalog:
        request = Request(catalog, dataset, pair, once, stands=not keep_policy)
        run = begin(request, trigger, flow_run_id, resume)
        with driven(request, run, runner) as context:
            settle_base(context)
            return _carry_out(context, runner)


def plan(
    dataset: Dataset,
    tell: Callable[[Planned], None] = lambda _: None,
    *,
    once: Once = NOTHING_ONCE,
    catalog_url: str | None = None,
    secrets: Mapping[str, str] | None = None,
) -> Summary:
    """Return the summary of what `sync` would do; nothing is written anywhere.

    `tell` gets the plan page by page. If a run could not read some entries, the
    summary's exit code is 1.
    """
    dataset, pair = check_ends(dataset, secrets, once, looks=True)
    with looked_into(catalog_url) as catalog:
        return dry_summary(Request(catalog, dataset, pair, once), tell)


def resume(
    run_id: str,
    runner: TaskRunner,
    *,
    catalog_url: str | None = None,
    take_over: bool = False,
) -> Summary:
    """Resume a stopped run, with the policy that it began with.

    A verification starts over, but keeps what it found before.
    """
    with open_catalog(catalog_url) as catalog:
        run = runs.find(catalog, run_id)
        dataset = datasets.get(catalog, run.dataset_id).dataset
        approved = delete_plans.applied_by(catalog, run)
    once = run.policy.once.model_copy(update={"take_over": take_over})
    if approved:
        return apply_deletes(
            Approval(approved.id, approved.entries, approved.decided_by or ""),
            runner,
            once=once,
            catalog_url=catalog_url,
            resume=run.id,
        )
    what, _, of_run = run.trigger.partition(" ")
    if what == _UNDO:
        return undo(of_run, runner, once=once, catalog_url=catalog_url, resume=run.id)
    if run.trigger == VERIFY and run.state in runs.RESUMABLE:
        return verify(dataset.name, runner, once=once, catalog_url=catalog_url)
    return sync(
        dataset,
        runner,
        once=once,
        catalog_url=catalog_url,
        resume=run_id,
        keep_policy=True,
    )


def verify(
    name: str,
    runner: TaskRunner,
    *,
    once: Once = NOTHING_ONCE,
    catalog_url: str | None = None,
) -> Summary:
    """Read all of a dataset's target again; entries that differ leave the manifest."""
    with open_catalog(catalog_url) as catalog:
        dataset, pair = check_ends(datasets.find(catalog, name).dataset)
        dataset = _changed(dataset, verify=Verify.CHECKSUM, share_target=True)
        request = Request(catalog, dataset, pair, once)
        run = begin(request, VERIFY, None, None)
        with driven(request, run, runner) as context:
            settle_base(context)
            prove_manifest(context, runner)
            return _finish(context, runner)


def apply_deletes(  # noqa: PLR0913  everything a trigger may say of a run
    approval: Approval,
    runner: TaskRunner,
    *,
    once: Once = NOTHING_ONCE,
    catalog_url: str | None = None,
    flow_run_id: str | None = None,
    resume: str | None = None,
    secrets: Mapping[str, str] | None = None,
) -> Summary:
    """Carry out a delete plan that a person approved, as a run of its own.

    Every entry is checked again: gone from the source, and in the target as Haulage
    made it.
    """
    with open_catalog(catalog_url) as catalog:
        taken = once.take_over
        earlier = to_resume(catalog, flow_run_id, resume, take_over=taken)
        plan = approved_plan(catalog, approval, earlier)
        dataset = datasets.get(catalog, plan.dataset_id).dataset
        dataset, pair = check_ends(_changed(dataset, share_target=True), secrets)
        request = Request(catalog, dataset, pair, once)
        run = begin(request, _DELETES, flow_run_id, resume)
        with driven(request, run, runner) as context:
            settle_base(context)
            delete_plans.approve(catalog, run, plan, approval.who)
            deleting.delete_approved(context, runner, plan)
            sweep(context)
            finish_dirs(context, runner)
            return _finish(context, runner)


def undo(
    run_id: str,
    runner: TaskRunner,
    *,
    once: Once = NOTHING_ONCE,
    catalog_url: str | None = None,
    resume: str | None = None,
) -> Summary:
    """Restore what a run moved into the trash, except where a name is taken.

    The source may be away: then changed directories keep their present times.
    """
    with open_catalog(catalog_url) as catalog:
        undone = runs.find(catalog, run_id)
        trash = trash_to_undo(catalog, undone.id, resumed=resume is not None)
        dataset = datasets.get(catalog, undone.dataset_id).dataset
        dataset = _changed(dataset, delete=Delete.OFF, share_target=True)
        once = once.model_copy(update={"allow_empty_source": True})
        request = Request(catalog, dataset, check_target(dataset), once)
        run = begin(request, f"{_UNDO} {undone.id}", None, resume)
        with driven(request, run, runner) as context:
            settle_base(context)
            bring_back(context, runner, trash)
            base = Manifest(catalog, context.run.base_manifest_id)
            if is_source_recognised(Comparison(context.pair, run.policy, base, 0.0)):
                finish_dirs(context, runner)
            return _finish(context, runner)


def abandon(
    run_id: str, *, catalog_url: str | None = None, take_over: bool = False
) -> Run:
    """Give up a stopped run: it cannot be resumed, and nothing of it is committed.

    Its copies stay in the target, where the next run finds them; so do temporaries,
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
            request = Request(catalog, dataset, check_target(dataset))
            with driven(request, run, goes_on=False) as context:
                sweep(context)
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


def _carry_out(context: RunContext, runner: TaskRunner) -> Summary:
    """Carry out the sequence. Every step asks the catalog what is left to do."""
    prepare_target(context)
    waves = [
        runner.start(wave.name, partial(run_wave, context, wave))
        for wave in discover(context)
    ]
    context.progress.stage = "copy"
    for wave in waves:
        wave.result()
    for phase in ORDER:
        _PHASES[phase](context, runner)
    return _finish(context, runner)


def _finish_target(context: RunContext, runner: TaskRunner) -> None:
    """Remove Haulage's leftovers, then set the attributes of directories."""
    sweep(context)
    empty_expired(context)
    finish_dirs(context, runner)


_PHASES: Mapping[Phase, Callable[[RunContext, TaskRunner], None]] = {
    COPIES: settle,
    LINKS: settle_links,
    DELETES: deleting.delete,
    UNBLOCKED: settle_blocked,
    UNBLOCKED_LINKS: settle_blocked_links,
    LINK_COPIES: verify_link_copies,
    DIRECTORIES: _finish_target,
}


def _finish(context: RunContext, runner: TaskRunner) -> Summary:
    """Commit what the passes have done and return the summary."""
    context.progress.stage = "commit"
    ledger = runner.call("commit the manifest", partial(commit, context))
    summary = summary_of(context, ledger)
    runs.end(context.catalog, context.run, RunState.DONE, summary.as_dict())
    shutil.rmtree(context.workspace, ignore_errors=True)
    return summary
