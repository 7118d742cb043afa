"""The flow that keeps a dataset's target equal to its source."""

from datetime import UTC, datetime
from typing import Any

from prefect import flow, get_run_logger, runtime
from prefect.client.orchestration import get_client
from prefect.task_runners import ThreadPoolTaskRunner

from blocks.credentials import Resolved, resolve
from blocks.results import SAVED_AS
from flows.artifacts import RunArtifacts
from flows.final_state import failed_state_of, final_state_of
from flows.hooks import tell_how_it_goes_on
from flows.stopping import movers_stopped_early
from flows.task_runner import WAVES_AT_ONCE, PrefectRunner
from haulage.catalog import failures
from haulage.catalog.db.engine import open_catalog
from haulage.catalog.deletes import delete_plans
from haulage.catalog.deletes.delete_plans import DeletePlan
from haulage.catalog.failures import Failure
from haulage.config.policy import NOTHING_ONCE, Dataset, Once
from haulage.errors import HaulageError
from haulage.run import sequence
from haulage.run.context.runner import Summary
from haulage.run.summary import PLANNED

FAILURES_TOLD = 10
DELETES_SHOWN = 20
RUNNER: ThreadPoolTaskRunner[Any] = ThreadPoolTaskRunner(max_workers=WAVES_AT_ONCE)


def name_of_run() -> str:
    """Return a name that sorts: `genomes-sync-20261121T021500`."""
    given = runtime.flow_run.parameters
    what = "plan" if given.get("dry_run") else "sync"
    due = runtime.flow_run.scheduled_start_time or datetime.now(UTC)
    dataset = Dataset.model_validate(given["dataset"])
    return f"{dataset.name}-{what}-{due:%Y%m%dT%H%M%S}"


@flow(
    name="sync",
    flow_run_name=name_of_run,
    task_runner=RUNNER,  # type: ignore[arg-type]  # its future is not covariant
    persist_result=True,
    result_storage=SAVED_AS,
    result_serializer="json",
    on_cancellation=[tell_how_it_goes_on],
    on_crashed=[tell_how_it_goes_on],
)
def sync(
    dataset: Dataset,
    dry_run: bool = False,  # noqa: FBT001, FBT002
    once: Once = NOTHING_ONCE,
) -> Any:  # noqa: ANN401
    """Make a dataset's target equal to its source, and prove that every byte arrived.

    Args:
        dataset: What is kept in sync, and by which policy.
        dry_run: List and compare only: say what a run would do, and touch nothing.
        once: What this run alone is to do; none of it stands for the next one.
    """
    tag_run(dataset)
    try:
        with movers_stopped_early():
            resolved = resolve(dataset)
            artifacts = open_artifacts(resolved.dataset)
            runner = PrefectRunner(artifacts)
            summary = carry_out_sequence(resolved, runner, once, dry_run=dry_run)
    except HaulageError as err:
        return failed_state_of(err)
    artifacts.close(summary, first_failures_of(summary))
    if summary.waiting_plan:
        artifacts.ask(*plan_of(summary.waiting_plan))
    return final_state_of(summary)


def open_artifacts(dataset: Dataset) -> RunArtifacts:
    """Return the run's artifacts, after logging what it is about to sync."""
    log = get_run_logger()
    log.info("%s: %s -> %s", dataset.name, repr(dataset.source), repr(dataset.target))
    return RunArtifacts(dataset, log)


def tag_run(dataset: Dataset) -> None:
    """Tag the run with its dataset, which may not be its deployment's."""
    others = {tag for tag in runtime.flow_run.tags if not tag.startswith("dataset:")}
    with get_client(sync_client=True) as client:
        client.update_flow_run(
            runtime.flow_run.id, tags=[*sorted(others), f"dataset:{dataset.name}"]
        )


def carry_out_sequence(
    resolved: Resolved, runner: PrefectRunner, once: Once, *, dry_run: bool
) -> Summary:
    """Run the one sequence; the same flow run resumes the run that it started."""
    if dry_run:
        return sequence.plan(resolved.dataset, once=once, secrets=resolved.environ)
    return sequence.sync(
        resolved.dataset,
        runner,
        once=once,
        secrets=resolved.environ,
        trigger="prefect",
        flow_run_id=str(runtime.flow_run.id),
    )


def first_failures_of(summary: Summary) -> list[Failure]:
    """Return the first failures, enough to see what is wrong."""
    if not summary.failed or summary.state == PLANNED:
        return []
    with open_catalog() as catalog:
        return failures.of_run(catalog, summary.run_id, limit=FAILURES_TOLD)


def plan_of(number: int) -> tuple[DeletePlan, list[bytes]]:
    """Return a waiting delete plan, and its first paths."""
    with open_catalog() as catalog:
        plan = delete_plans.find(catalog, number)
        first = next(delete_plans.tables(catalog, plan))
    return plan, first["path"].slice(0, DELETES_SHOWN).to_pylist()
