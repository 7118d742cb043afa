import threading
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from prefect import flow, get_run_logger, runtime
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import StateType
from prefect.task_runners import ThreadPoolTaskRunner

from flows.artifacts import RunArtifacts
from flows.task_runner import PrefectRunner
from haulage.errors import (
    CancelledError,
    FatalError,
    HaulageError,
    PermanentError,
    RefusedError,
    TransientError,
)
from tests.flows.progress import dataset

pytestmark = pytest.mark.usefixtures("prefect_server")

PATIENCE_S = 60
RUNNER: ThreadPoolTaskRunner[Any] = ThreadPoolTaskRunner(max_workers=2)


def in_a_flow(work: Callable[[PrefectRunner], object]) -> tuple[Any, UUID]:
    """Return what `work` returns or raises in a flow run, and that run's id."""
    seen: list[UUID] = []

    @flow(task_runner=RUNNER)  # type: ignore[arg-type]  # its future is not covariant
    def around() -> Any:
        seen.append(UUID(runtime.flow_run.id))
        try:
            return work(PrefectRunner(RunArtifacts(dataset(), get_run_logger())))
        except HaulageError as err:
            return {"raised": err}

    return around(), seen[0]


def task_runs(flow_run_id: UUID) -> dict[str, StateType]:
    mine = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run_id]))
    for _ in range(PATIENCE_S * 5):
        with get_client(sync_client=True) as client:
            found = client.read_task_runs(flow_run_filter=mine)
        states = {one.name: one.state_type for one in found if one.state_type}
        ends = {StateType.COMPLETED, StateType.FAILED, StateType.CANCELLED}
        if states and set(states.values()) <= ends:
            return states
        threading.Event().wait(0.2)
    pytest.fail(f"the server never heard how the tasks ended: {states}")


def test_waves_run_beside_each_other_under_their_names() -> None:
    meeting = threading.Barrier(2, timeout=PATIENCE_S)

    def both(runner: PrefectRunner) -> list[int]:
        pending = [
            runner.start("copy wave 1", meeting.wait),
            runner.start("copy wave 2", meeting.wait),
        ]
        return sorted(one.result() for one in pending)

    result, flow_run_id = in_a_flow(both)
    assert result == [0, 1]
    assert task_runs(flow_run_id) == {
        "copy wave 1": StateType.COMPLETED,
        "copy wave 2": StateType.COMPLETED,
    }


def test_a_call_is_done_when_it_returns() -> None:
    result, _ = in_a_flow(lambda runner: runner.call("verify", lambda: 7))
    assert result == 7


def test_a_name_with_braces_is_taken_as_it_is() -> None:
    _, flow_run_id = in_a_flow(lambda runner: runner.call("copy {x} {0}", lambda: 7))
    assert list(task_runs(flow_run_id)) == ["copy {x} {0}"]


def failing(times: int, error: HaulageError) -> tuple[Callable[[], str], list[int]]:
    tries: list[int] = []

    def work() -> str:
        tries.append(1)
        if len(tries) <= times:
            raise error
        return "done"

    return work, tries


def test_a_transient_error_is_tried_again_until_it_passes() -> None:
    work, tries = failing(1, TransientError("the server is busy"))
    result, _ = in_a_flow(lambda runner: runner.start("copy wave 1", work).result())
    assert (result, len(tries)) == ("done", 2)


@pytest.mark.parametrize("kind", [PermanentError, FatalError, RefusedError])
def test_other_errors_are_raised_at_once(kind: type[HaulageError]) -> None:
    work, tries = failing(9, kind("no"))
    result, flow_run_id = in_a_flow(lambda runner: runner.call("verify", work))
    assert type(result["raised"]) is kind
    assert len(tries) == 1
    assert task_runs(flow_run_id) == {"verify": StateType.FAILED}


@pytest.mark.parametrize("how", ["start", "call"])
def test_work_that_was_asked_to_stop_ends_cancelled_and_not_failed(how: str) -> None:
    work, tries = failing(9, CancelledError("asked to stop"))

    def stopped(runner: PrefectRunner) -> object:
        if how == "call":
            return runner.call("delete", work)
        return runner.start("delete", work).result()

    result, flow_run_id = in_a_flow(stopped)
    assert isinstance(result["raised"], CancelledError)
    assert len(tries) == 1
    assert task_runs(flow_run_id) == {"delete": StateType.CANCELLED}
