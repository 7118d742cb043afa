"""The commands about deletes that wait for a person's approval."""

import argparse
import json
import os
import pwd
import sys

import pyarrow as pa

from haulage.catalog import datasets
from haulage.catalog.db.engine import Catalog, open_catalog
from haulage.catalog.deletes import delete_plans
from haulage.catalog.deletes.delete_plans import DeletePlan, PlanState
from haulage.cli.arguments import once_of
from haulage.cli.commands.run import tell
from haulage.cli.progress import runner_with_progress
from haulage.config.units import shown_bytes
from haulage.model import Kind
from haulage.paths import shown
from haulage.run import sequence
from haulage.run.guards import approval
from haulage.run.guards.approval import Approval


def list_plans(args: argparse.Namespace) -> int:
    """List the plans of the dataset, or of all, the newest first."""
    with open_catalog(args.catalog) as catalog:
        row = datasets.find(catalog, args.dataset) if args.dataset else None
        for plan in delete_plans.listed(catalog, row.id if row else None, args.limit):
            _print_plan(catalog, plan, as_json=args.json)
    return 0


def show_plan(args: argparse.Namespace) -> int:
    """Show one plan with every entry that it would delete."""
    with open_catalog(args.catalog) as catalog:
        plan = delete_plans.find(catalog, args.plan)
        _print_plan(catalog, plan, as_json=args.json)
        for page in delete_plans.tables(catalog, plan):
            _print_entries(page, as_json=args.json)
    if plan.state is PlanState.WAITING and not args.json:
        print(
            f"delete them: haulage deletes apply {plan.id} --yes-delete {plan.entries}"
            f"\ndrop the plan: haulage deletes decline {plan.id}",
            file=sys.stderr,
        )
    return 0


def apply_plan(args: argparse.Namespace) -> int:
    """Delete what a plan lists, after checking every path again."""
    leave = Approval(args.plan, args.yes_delete, _who())
    with runner_with_progress(quiet=args.json) as runner:
        summary = sequence.apply_deletes(
            leave, runner, once=once_of(args), catalog_url=args.catalog
        )
    return tell(summary, as_json=args.json)


def decline_plan(args: argparse.Namespace) -> int:
    """Drop a plan."""
    with open_catalog(args.catalog) as catalog:
        approval.decline(catalog, args.plan, _who(), args.because)
        _print_plan(catalog, delete_plans.find(catalog, args.plan), as_json=args.json)
    return 0


def undo(args: argparse.Namespace) -> int:
    """Bring back what a run moved into the trash."""
    with runner_with_progress(quiet=args.json) as runner:
        summary = sequence.undo(
            args.run, runner, once=once_of(args), catalog_url=args.catalog
        )
    return tell(summary, as_json=args.json)


def _who() -> str:
    """Return who types: the name that this user id has, and the id."""
    uid = os.getuid()
    try:
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    except KeyError:
        return f"uid {uid}"


def _print_plan(catalog: Catalog, plan: DeletePlan, *, as_json: bool) -> None:
    name = datasets.get(catalog, plan.dataset_id).dataset.name
    if as_json:
        print(json.dumps(_fields(name, plan)))
        return
    print(
        f"plan {plan.id}  {plan.state:<8}  {plan.created_at:%Y-%m-%d %H:%M} UTC  "
        f"{name}  {plan.entries:,} entries, {shown_bytes(plan.content_bytes)}"
    )
    print(f"  run {plan.run_id}: {plan.reason}")
    if plan.decided_by:
        because = f": {plan.because}" if plan.because else ""
        by_run = f", run {plan.apply_run_id}" if plan.apply_run_id else ""
        print(f"  decided by {plan.decided_by}{by_run}{because}")


def _fields(name: str, plan: DeletePlan) -> dict[str, object]:
    decided_at = plan.decided_at
    return {
        "plan": plan.id,
        "dataset": name,
        "run": plan.run_id,
        "manifest": plan.manifest_id,
        "state": str(plan.state),
        "entries": plan.entries,
        "bytes": plan.content_bytes,
        "reason": plan.reason,
        "created_at": plan.created_at.isoformat(timespec="seconds"),
        "decided_by": plan.decided_by,
        "decided_at": decided_at.isoformat(timespec="seconds") if decided_at else None,
        "because": plan.because,
        "apply_run": plan.apply_run_id,
    }


def _print_entries(page: pa.Table, *, as_json: bool) -> None:
    columns = (page[name].to_pylist() for name in ("path", "kind", "size"))
    for path, number, size in zip(*columns, strict=True):
        kind = Kind(number).name.lower()
        if as_json:
            print(json.dumps({"path": shown(path), "kind": kind, "size": size}))
        else:
            print(f"  {kind:<8} {size:>14} {shown(path)}")
