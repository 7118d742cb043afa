"""A Prefect server for tests of tasks and artifacts, and one by `haulage up`."""

from collections.abc import Iterator
from contextlib import contextmanager

import prefect.settings as known
import pytest
from prefect.events.clients import PrefectEventsClient
from prefect.events.worker import EventsWorker
from prefect.settings import temporary_settings

from tests.flows.up import Installation, installation, installed
from tests.postgres import postgres

__all__ = ["Installation", "installation", "installed", "postgres"]

# What a test does not wait for: schedules, triggers, late runs, blocks of others.
FAST = {
    known.PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE: 200,
    known.PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE: 100,
    known.PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL: 1,
    known.PREFECT_SERVER_SERVICES_EVENT_PERSISTER_ENABLED: False,
    known.PREFECT_SERVER_SERVICES_TRIGGERS_ENABLED: False,
    known.PREFECT_SERVER_SERVICES_SCHEDULER_ENABLED: False,
    known.PREFECT_SERVER_SERVICES_LATE_RUNS_ENABLED: False,
    known.PREFECT_SERVER_REGISTER_BLOCKS_ON_START: False,
    known.PREFECT_SERVER_ANALYTICS_ENABLED: False,
}


@pytest.fixture(scope="package")
def prefect_server() -> Iterator[None]:
    """Run flows of these tests against a server of their own."""
    # It loads all of the server, which tests of other things do not wait for.
    from prefect.testing.utilities import prefect_test_harness

    with (
        temporary_settings(FAST),
        prefect_test_harness(server_startup_timeout=120),
        temporary_settings({known.PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}),
        events_to(str(known.PREFECT_API_URL.value())),
    ):
        yield


@contextmanager
def events_to(api_url: str) -> Iterator[None]:
    """Send events there; else the first test of the process decides it for all."""
    EventsWorker.set_client_override(PrefectEventsClient, api_url=api_url)
    try:
        yield
    finally:
        EventsWorker.set_client_override(None)
