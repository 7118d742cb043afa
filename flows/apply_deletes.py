"""The flow that carries out a delete plan, after a person has typed its number."""

from datetime import UTC, datetime
from typing import Any

from prefect import flow, runtime

from blocks.credentials import resolve
from blocks.results import SAVED_AS
from flows.final_state import failed_state_of, final_state_of
from flows.hooks import tell_how_it_goes_on
from flows.stopping import movers_stopped_early
from flows.sync import RUNNER, first_failures_of, open_artifacts, tag_run
from flows.task_runner import PrefectRunner
from haulage.catalog import datasets
from haulage.catalog.db.engine import open_catalog
from haulage.catalog.deletes import delete_plans
from haulage.config.policy import Dataset
from haulage.errors import HaulageError
from haulage.run import sequence
from haulage.run.guards.approval import Approval


def name_of_run() -> str:
    """Return a name that sorts: `plan-7-deletes-20261121T021500`."""
    due = runtime.flow_run.scheduled_start_time or datetime.now(UTC)
    plan = runtime.flow_run.parameters["plan"]
    return f"plan-{plan}-deletes-{due:%Y%m%dT%H%M%S}"


@flow(
    name="apply-deletes",
    flow_run_name=name_of_run,
    task_runner=RUNNER,  # type: ignore[arg-type]  # its future is not covariant
    persist_result=True,
    result_storage=SAVED_AS,
    result_serializer="json",
    on_cancellation=[tell_how_it_goes_on],
    on_crashed=[tell_how_it_goes_on],
)
def apply_deletes(plan: int, yes_delete: int) -> Any:  # noqa: ANN401
    """Delete what a plan lists that waits, after checking every path again.

    Args:
        plan: The plan's number, as the run that kept it shows it.
        yes_delete: How many entries the plan deletes. Type it to confirm.
    """
    leave = Approval(plan, yes_delete, f"flow run {runtime.flow_run.name}")
    try:
        with movers_stopped_early():
            resolved = resolve(dataset_of(plan))
            tag_run(resolved.dataset)
            artifacts = open_artifacts(resolved.dataset)
            summary = sequence.apply_deletes(
                leave,
                PrefectRunner(artifacts),
                secrets=resolved.environ,
                flow_run_id=str(runtime.flow_run.id),
            )
    except HaulageError as err:
        return failed_state_of(err)
    artifacts.close(summary, first_failures_of(summary))
    return final_state_of(summary)


def dataset_of(plan: int) -> Dataset:
    """Return the dataset of a plan."""
    with open_catalog() as catalog:
        found = delete_plans.find(catalog, plan)
        return datasets.get(catalog, found.dataset_id).dataset
