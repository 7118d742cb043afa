import json
import logging
from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

import pytest
from prefect import flow, runtime
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import Artifact
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.artifact_texts import harmless
from flows.artifacts import DRAW_EVERY_S, RunArtifacts
from haulage.catalog.failures import Failure
from haulage.launch.launcher import NodeWork
from tests.flows.progress import HOSTILE, dataset, progress, summary, wave

LOG = logging.getLogger("haulage.test_board")


class Clock:
    """Goes on only when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def artifacts_of(work: Callable[[RunArtifacts, Clock], None]) -> dict[str, Artifact]:
    """Return the artifacts of a flow run in which `work` was given the board."""

    @flow
    def around() -> str:
        clock = Clock()
        work(RunArtifacts(dataset("My.Genomes"), LOG, clock), clock)
        return str(runtime.flow_run.id)

    mine = FlowRunFilter(id=FlowRunFilterId(any_=[UUID(around())]))
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(flow_run_filter=mine)
    return {str(one.key): one for one in found if one.key}


def test_bar_and_table_move_as_the_run_does(prefect_server: None) -> None:
    def work(artifacts: RunArtifacts, clock: Clock) -> None:
        clock.now = DRAW_EVERY_S
        artifacts.show(progress(25, wave()))

    found = artifacts_of(work)
    assert found["my-genomes-progress"].data == 25.0
    assert "25 of 100 entries" in str(found["my-genomes-progress"].description)
    [row] = json.loads(str(found["my-genomes-waves"].data))
    assert row["entries"] == "50/100"


def test_machines_have_a_table_in_which_a_hostile_name_is_inert(
    prefect_server: None,
) -> None:
    def work(artifacts: RunArtifacts, clock: Clock) -> None:
        for slots in (1, 2):
            clock.now += DRAW_EVERY_S
            busy = NodeWork(f"n1\x1b{HOSTILE}", slots, 3, 10.0, 1024.0)
            artifacts.show(replace(progress(25, wave()), nodes=(busy,)))
        clock.now += DRAW_EVERY_S
        artifacts.show(progress(50, wave()))  # the last slots have ended

    found = artifacts_of(work)
    [row] = json.loads(str(found["my-genomes-nodes"].data))
    assert (row["slots"], row["shards under way"]) == ("2", "3")
    assert row["rate"] == "10 entries/s, 1.0 KiB/s"
    assert "\x1b" not in row["node"]


def test_the_server_is_not_asked_more_often_than_a_person_looks(
    prefect_server: None,
) -> None:
    def work(artifacts: RunArtifacts, clock: Clock) -> None:
        clock.now = DRAW_EVERY_S
        artifacts.show(progress(25))
        clock.now += DRAW_EVERY_S / 2
        artifacts.show(progress(75))

    assert artifacts_of(work)["my-genomes-progress"].data == 25.0


def test_the_end_is_drawn_whenever_it_comes(prefect_server: None) -> None:
    def work(artifacts: RunArtifacts, clock: Clock) -> None:
        artifacts.show(progress(100))
        artifacts.close(summary(notes=(HOSTILE,)), [])

    found = artifacts_of(work)
    assert found["my-genomes-progress"].data == 100.0
    assert harmless(HOSTILE) in str(found["my-genomes-summary"].data)


def test_the_log_tells_of_each_wave_once_and_of_every_failure(
    prefect_server: None, caplog: pytest.LogCaptureFixture
) -> None:
    failure = Failure(b"a/\x1b[31mx", "COPY", "FAILED", "PermanentError", 13, "denied")

    def work(artifacts: RunArtifacts, clock: Clock) -> None:
        artifacts.show(progress(50, wave("copy wave 1", "done"), wave("copy wave 2")))
        artifacts.show(progress(60, wave("copy wave 1", "done"), wave("copy wave 2")))
        artifacts.close(summary(failed=1), [failure])

    with caplog.at_level(logging.INFO, LOG.name):
        artifacts_of(work)
    told = [one.getMessage() for one in caplog.records if one.name == LOG.name]
    assert sum("copy wave 1 done" in line for line in told) == 1
    assert not any("copy wave 2" in line for line in told)
    assert any(r"COPY a/\x1b[31mx: FAILED: denied" in line for line in told)


@pytest.mark.filterwarnings("ignore:Artifact creation outside:FutureWarning")
def test_a_server_that_is_away_does_not_end_the_run(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = Clock()
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        artifacts = RunArtifacts(dataset(), LOG, clock)
        clock.now = DRAW_EVERY_S
        artifacts.show(progress(25))
        artifacts.close(summary(), [])
    for what in ("progress", "waves", "summary"):
        assert f"no {what} artifact for this run" in caplog.text
