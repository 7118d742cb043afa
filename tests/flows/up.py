"""A Prefect server, a worker and deployments on a real Postgres, by `haulage up`."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_URL,
    temporary_settings,
)
from prefect.states import AwaitingRetry

from tests.postgres import PostgresServer
from tests.servers.processes import free_port

CHECKOUT = Path(__file__).parents[2]
PATIENCE_S = 240
DEPLOYMENTS = {"sync": "python-library", "apply-deletes": "apply-deletes"}
READ_RESULT = """
import json, sys
from prefect.client.orchestration import get_client
import blocks.results
with get_client(sync_client=True) as client:
    print(json.dumps(client.read_flow_run(sys.argv[1]).state.result()))
"""


@dataclass(frozen=True)
class Installation:
    """One `haulage up`, and what a person does with it."""

    home: Path
    env: dict[str, str]

    def haulage(self, *args: str) -> str:
        """Run a command of Haulage in the checkout and return what it prints."""
        done = subprocess.run(
            [sys.executable, "-m", "haulage.cli.main", *args],
            cwd=CHECKOUT,
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def result(self, run_id: UUID) -> dict[str, Any]:
        """Return what a run returned, read by another process through its block."""
        done = subprocess.run(
            [sys.executable, "-c", READ_RESULT, str(run_id)],
            cwd=CHECKOUT,
            env=self.env
            | {
                "PREFECT_API_URL": f"{self.url()}/api",
                "PREFECT_API_AUTH_STRING": self.login(),
            },
            stdout=subprocess.PIPE,
            check=True,
        )
        return dict(json.loads(done.stdout))

    def url(self) -> str:
        """Return the server's address."""
        return f"http://127.0.0.1:{self.port()}"

    @contextmanager
    def served(self) -> Iterator[None]:
        """Have this process ask the server of the installation."""
        api = {
            PREFECT_API_URL: f"{self.url()}/api",
            PREFECT_API_AUTH_STRING: self.login(),
        }
        with temporary_settings(api):
            yield

    def login(self) -> str:
        """Return what the file says that is for its owner alone."""
        return (self.home / "prefect" / "login").read_text()

    def port(self) -> int:
        """Return the server's port."""
        return int((self.home / "prefect" / "port").read_text())

    def client(self) -> SyncPrefectClient:
        """Return a client of the server."""
        return get_client(sync_client=True)

    def start(
        self, deployment: str, parameters: dict[str, Any], flow: str = "sync"
    ) -> UUID:
        """Start a run of a deployment with other parameters than its own."""
        with self.client() as client:
            found = client.read_deployment_by_name(f"{flow}/{deployment}")
            run = client.create_flow_run_from_deployment(
                found.id, parameters=parameters
            )
        return run.id

    def ended(self, flow: str, asked: dict[str, Any]) -> FlowRun:
        """Have the worker run a flow with these parameters, and wait for its end."""
        return self.finished(self.start(DEPLOYMENTS[flow], asked, flow))

    def scheduled(
        self, deployment: str, schedule: DeploymentScheduleCreate, flow: str = "sync"
    ) -> UUID:
        """Give a deployment a schedule until a run of it has begun; return that run."""
        deadline = time.monotonic() + PATIENCE_S
        with self.client() as client:
            found = client.read_deployment_by_name(f"{flow}/{deployment}")
            made = client.create_deployment_schedules(found.id, [schedule])
            mine = FlowRunFilter(
                deployment_id=FlowRunFilterDeploymentId(any_=[found.id]),
                state=FlowRunFilterState(
                    type=FlowRunFilterStateType(any_=[StateType.RUNNING])
                ),
            )
            while not (runs := client.read_flow_runs(flow_run_filter=mine)):
                assert time.monotonic() < deadline, f"no run of {deployment} began"
                time.sleep(0.3)
            client.delete_deployment_schedule(found.id, made[0].id)
        return runs[0].id

    def again(self, run_id: UUID) -> UUID:
        """Have a run that ended carried out once more, as Retry in the UI does."""
        with self.client() as client:
            client.set_flow_run_state(run_id, AwaitingRetry(), force=True)
        return run_id

    def wait(self, run_id: UUID, until: Callable[[FlowRun], bool]) -> FlowRun:
        """Wait until a run is as it should be; a test fails that waits for ever."""
        deadline = time.monotonic() + PATIENCE_S
        with self.client() as client:
            while not until(run := client.read_flow_run(run_id)):
                assert time.monotonic() < deadline, f"{run.name}: still {run.state!r}"
                time.sleep(0.3)
        return run

    def finished(self, run_id: UUID) -> FlowRun:
        """Wait for the end of a run."""
        return self.wait(run_id, lambda run: bool(run.state and run.state.is_final()))

    def processes(self, word: bytes) -> list[int]:
        """Return the processes of this installation with `word` in their command."""
        mark = f"HAULAGE_HOME={self.home}".encode()
        return [
            int(proc.name)
            for proc in Path("/proc").iterdir()
            if proc.name.isdigit()
            and word in _read(proc / "cmdline")
            and mark in _read(proc / "environ").split(b"\0")
        ]


@contextmanager
def brought_up(postgres: PostgresServer, root: Path) -> Iterator[Installation]:
    """Run `haulage up` on Postgres, and `haulage down` at the end."""
    env = dict(os.environ) | {
        "HOME": str(root),
        "HAULAGE_HOME": str(root / "haulage"),
        "HAULAGE_CATALOG": postgres.fresh_database(),
        "HAULAGE_PREFECT_DATABASE": postgres.fresh_database(),
    }
    made = Installation(root / "haulage", env)
    try:
        made.haulage("up", "--port", str(free_port()))  # others may be starting, too
        yield made
    finally:
        made.haulage("down")


@pytest.fixture(scope="package")
def installed(
    postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """Give all tests of flows one installation: each takes half a minute, and works as
    long as it is there."""
    with brought_up(postgres, tmp_path_factory.mktemp("installation")) as made:
        yield made


@pytest.fixture
def installation(installed: Installation) -> Iterator[Installation]:
    """Return the one installation, whose server is this process's meanwhile."""
    with installed.served():
        yield installed


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return b""
