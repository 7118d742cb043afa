"""Carry out the engine's work as Prefect tasks."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.exceptions import CancelledRun
from prefect.futures import PrefectFuture
from prefect.states import Cancelled
from prefect.tasks import Task

from flows.artifacts import RunArtifacts
from haulage.errors import CancelledError, TransientError
from haulage.run.context.runner import Progress

T = TypeVar("T")

# A task thread only waits for its wave's job, so this bounds waves, not movers.
WAVES_AT_ONCE = 8

# Together shorter than the 30 seconds that a cancelled process is given.
RETRY_DELAYS_S = [1.0, 3.0, 9.0]


def worth_retrying(_task: Task[Any, Any], _run: TaskRun, state: State[Any]) -> bool:
    """Tell whether `state` is a failure that a repeated call may get over."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, TransientError)


@task(
    name="carry out",
    task_run_name="{name}",
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=len(RETRY_DELAYS_S),
    retry_delay_seconds=RETRY_DELAYS_S,
    retry_jitter_factor=0.5,
    retry_condition_fn=worth_retrying,
)
def carry_out(name: str, work: Callable[[], Any]) -> Any:  # noqa: ANN401, ARG001
    """Do `work` under `name`; a requested stop ends as Cancelled, not as Failed."""
    try:
        return work()
    except CancelledError as err:
        return Cancelled(message=str(err))


@dataclass(frozen=True)
class TaskPending:
    """The result of a task that may still be running."""

    future: PrefectFuture[Any]

    def result(self) -> Any:  # noqa: ANN401
        """Wait for the end; return the work's result or raise its exception."""
        try:
            return self.future.result()
        except CancelledRun as err:
            raise CancelledError(str(err)) from err


class PrefectRunner:
    """The task runner of a flow; the contract is on `TaskRunner`."""

    def __init__(self, artifacts: RunArtifacts) -> None:
        self._artifacts = artifacts

    def start(self, name: str, work: Callable[[], T]) -> "TaskPending":
        return TaskPending(carry_out.submit(name, work))

    def call(self, name: str, work: Callable[[], T]) -> T:
        try:
            state = carry_out(name, work, return_state=True)
            return cast("T", state.result())
        except CancelledRun as err:
            raise CancelledError(str(err)) from err

    def note(self, progress: Progress) -> None:
        self._artifacts.show(progress)
