"""A person's approval of a delete plan, and whether the plan is still valid."""

from dataclasses import dataclass

from haulage.catalog import datasets, events
from haulage.catalog.db.engine import Catalog
from haulage.catalog.deletes import delete_plans
from haulage.catalog.deletes.delete_plans import DeletePlan, PlanState
from haulage.catalog.runs import runs
from haulage.catalog.runs.runs import Run, RunState
from haulage.errors import RefusedError


@dataclass(frozen=True, slots=True)
class Approval:
    """A person's approval to delete `entries`, the number that the plan must have."""

    plan_id: int
    entries: int
    who: str


def approved_plan(
    catalog: Catalog, approval: Approval, earlier: Run | None
) -> DeletePlan:
    """Return the plan; RefusedError if it is not the one that was approved.

    An `earlier` run that has started to carry the plan out may continue it.
    """
    plan = delete_plans.find(catalog, approval.plan_id)
    is_under_way = earlier is not None and plan.apply_run_id == earlier.id
    if plan.state is not PlanState.WAITING and not is_under_way:
        raise RefusedError(delete_plans.not_waiting(plan))
    if approval.entries != plan.entries:
        name = datasets.get(catalog, plan.dataset_id).dataset.name
        raise RefusedError(
            f"delete plan {plan.id} of {name} has {plan.entries} entries, not "
            f"{approval.entries}; look at them ('haulage deletes show {plan.id}'), "
            f"then type their number"
        )
    run = runs.find(catalog, plan.run_id)
    if run.state is not RunState.DONE:
        raise RefusedError(
            f"run {run.id}, which made delete plan {plan.id}, is {run.state}; "
            f"'haulage resume {run.id}' finishes it, then apply the plan"
        )
    return plan


def decline(catalog: Catalog, plan_id: int, who: str, because: str | None) -> None:
    """Drop a waiting plan; the next run that finds the entries gone makes another."""
    delete_plans.decline(catalog, plan_id, who, because)
    run_id = delete_plans.find(catalog, plan_id).run_id
    detail = {"plan": plan_id, "because": because}
    events.note(catalog, run_id, "deletes declined", detail, who)
