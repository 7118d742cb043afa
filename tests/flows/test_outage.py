"""A Prefect server that is away while a run copies: the catalog is the ledger."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import pytest

from haulage.catalog import datasets
from haulage.catalog.db.engine import open_catalog
from haulage.catalog.runs import runs
from haulage.catalog.runs.runs import Run, RunState
from tests.engine_builders import until
from tests.flows.test_deployed import SLOW, many_files, parameters
from tests.flows.up import Installation, brought_up
from tests.postgres import PostgresServer
from tests.trees.compare import assert_same, leftovers

pytestmark = [pytest.mark.torture, pytest.mark.timeout(600)]

AWAY_S = 15.0
_started: list[subprocess.Popen[bytes]] = []


class Server:
    """The server of an installation, which can be killed and started again."""

    def __init__(self, installation: Installation) -> None:
        found = installation.processes(b"server\0start")
        self.pids = found or installation.processes(b"server")
        main = Path(f"/proc/{self.pids[0]}")
        self.command = (main / "cmdline").read_bytes().split(b"\0")[:-1]
        pairs = (main / "environ").read_bytes().split(b"\0")[:-1]
        self.env = dict(pair.split(b"=", 1) for pair in pairs)
        self.cwd = os.readlink(main / "cwd")
        self.port = installation.port()

    @contextmanager
    def away(self) -> Iterator[None]:
        """Kill the server, and start it again at the end."""
        for pid in self.pids:
            os.kill(pid, signal.SIGKILL)
        try:
            yield
        finally:
            _started.append(
                subprocess.Popen(
                    self.command,
                    env=self.env,
                    cwd=self.cwd,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
            )
            until(self.answers, limit_s=120)

    def answers(self) -> bool:
        """Tell whether the server takes connections."""
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0


@pytest.fixture(scope="module")
def installation(
    postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """Return an installation whose server no other test misses."""
    root = tmp_path_factory.mktemp("outage")
    with brought_up(postgres, root) as made, made.served():
        yield made


@pytest.fixture(scope="module", autouse=True)
def _servers_ended(installation: Installation) -> Iterator[None]:
    """End what was started here: `haulage down` knows nothing of it."""
    yield
    for server in _started:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()


@pytest.fixture
def under_way(installation: Installation, tmp_path: Path) -> tuple[UUID, Path]:
    """Return a flow run whose movers are at work, and the root of its trees."""
    many_files(tmp_path / "source")
    source, target = tmp_path / "source", tmp_path / "target"
    asked = parameters(tmp_path.name, source, target, **SLOW, fsync="file")
    run_id = installation.start("python-library", asked)
    installation.wait(run_id, lambda _: bool(installation.processes(b"haulage.mover")))
    return run_id, tmp_path


def test_a_server_that_is_away_for_a_while_is_not_missed(
    installation: Installation, under_way: tuple[UUID, Path]
) -> None:
    run_id, root = under_way
    with Server(installation).away():
        before = sum(1 for _ in (root / "target").rglob("*"))
        time.sleep(AWAY_S)
        after = sum(1 for _ in (root / "target").rglob("*"))
        assert after > before, "the copying goes on"
    ended = installation.finished(run_id)
    assert ended.state
    assert ended.state.is_completed(), ended.state
    assert last_run(installation, root.name).state is RunState.DONE
    assert_same(root / "source", root / "target")


def test_a_server_that_stays_away_costs_no_work(
    installation: Installation, under_way: tuple[UUID, Path]
) -> None:
    run_id, root = under_way
    with Server(installation).away():
        until_over(installation, root.name)
        assert last_run(installation, root.name).state is RunState.DONE
        assert_same(root / "source", root / "target")
        assert leftovers(root / "target") == []
    with installation.client() as client:
        shown = client.read_flow_run(run_id).state
    assert shown
    assert shown.is_running() or shown.is_crashed(), shown
    asked = parameters(root.name, root / "source", root / "target")
    again = installation.finished(installation.start("python-library", asked))
    assert again.state
    assert again.state.is_completed(), again.state
    assert last_run(installation, root.name).counts["planned"] == 0


def until_over(installation: Installation, dataset: str) -> None:
    """Wait for the end of the run, or of the process that drives it."""
    while last_run(installation, dataset).state is RunState.ACTIVE:
        if not installation.processes(b"prefect.engine"):
            return
        time.sleep(0.5)


def last_run(installation: Installation, dataset: str) -> Run:
    with open_catalog(installation.env["HAULAGE_CATALOG"]) as catalog:
        row = datasets.find(catalog, dataset)
        return runs.recent(catalog, row.id, 1)[0]
