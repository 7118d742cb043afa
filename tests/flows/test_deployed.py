"""The whole of it: server, worker, deployments, runs, on a real Postgres."""

import asyncio
import os
import re
import subprocess
import urllib.request
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate, WorkPoolUpdate
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.schedules import IntervalSchedule
from prefect.states import Cancelling
from prefect.workers.process import ProcessWorker

from deployments import lint, register
from haulage.cli.server.detached import Children
from tests.e2e.conftest import nobodys_python
from tests.e2e.place import AS_NOBODY
from tests.flows.up import Installation
from tests.trees.build import plant
from tests.trees.compare import assert_same

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

MANY = 15_000
# Long enough to be cancelled on any disk: one mover, 300 shards.
SLOW = {"movers": 1, "shards": {"max_entries": 50}}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    plant(tmp_path / "source", seed=7, entries=600)
    return tmp_path / "source"


def parameters(name: str, source: Path, target: Path, **policy: object) -> Any:
    asked = {"name": name, "source": str(source), "target": str(target)}
    return {"dataset": {**asked, "policy": policy}}


def test_a_run_with_changed_parameters_makes_the_target_equal(
    installation: Installation, source: Path, tmp_path: Path
) -> None:
    asked = parameters("other", source, tmp_path / "target", listers=1)
    run = installation.finished(installation.start("python-library", asked))
    assert run.state
    assert run.state.is_completed(), run.state
    assert_same(source, tmp_path / "target")
    assert re.fullmatch(r"other-sync-\d{8}T\d{6}", run.name)
    assert "dataset:other" in run.tags
    result = installation.result(run.id)
    assert result["dataset"] == "other"
    assert result["failed"] == 0
    mine = FlowRunFilter(id=FlowRunFilterId(any_=[run.id]))
    with installation.client() as client:
        keys = {one.key for one in client.read_artifacts(flow_run_filter=mine)}
    assert {"other-progress", "other-waves", "other-summary"} <= keys


def test_a_schedule_starts_a_run_by_itself(
    installation: Installation, source: Path, tmp_path: Path
) -> None:
    nights = IntervalSchedule(interval=timedelta(seconds=20))
    asked = parameters("nightly", source, tmp_path / "target", listers=1)
    schedule = DeploymentScheduleCreate(schedule=nights, parameters=asked)
    run = installation.finished(installation.scheduled("python-library", schedule))
    assert run.auto_scheduled
    assert run.state
    assert run.state.is_completed(), run.state
    assert_same(source, tmp_path / "target")


@pytest.mark.parametrize(
    "goes_on",
    [
        "the same run, tried again",
        pytest.param("another run", marks=pytest.mark.torture),
    ],
)
def test_a_cancelled_run_leaves_no_process_and_its_work_can_go_on(
    installation: Installation, tmp_path: Path, goes_on: str
) -> None:
    name = goes_on.split(maxsplit=1)[0]
    own = tmp_path / name  # a path of one test may be that of the next one again
    source, target = own / "source", own / "target"
    many_files(source)
    asked = parameters(name, source, target, fsync="file")
    first = installation.start("python-library", asked)
    installation.wait(first, lambda _: bool(installation.processes(b"haulage.mover")))
    with installation.client() as client:
        client.set_flow_run_state(first, Cancelling())
    cancelled = installation.finished(first)
    assert cancelled.state
    assert cancelled.state.is_cancelled(), cancelled.state
    assert installation.processes(b"haulage.mover") == []
    assert installation.processes(b"haulage.lister") == []

    if goes_on == "another run":
        asked = parameters("another", source, target)
        second = installation.start("python-library", asked)
    else:
        second = installation.again(first)
    later = installation.finished(second)
    assert later.state
    assert later.state.is_completed(), later.state
    assert_same(source, target)


def test_a_second_up_changes_nothing_and_says_so(installation: Installation) -> None:
    records = [
        installation.home / "prefect" / f"{n}.json" for n in ("server", "worker")
    ]
    before = [record.read_bytes() for record in records]
    assert f"already runs at {installation.url()}" in installation.haulage("up")
    assert [record.read_bytes() for record in records] == before


def test_a_deployment_that_was_dropped_is_told_by_the_next_up(
    installation: Installation,
) -> None:
    with installation.client() as client:
        known = client.read_deployment_by_name("sync/python-library")
        dropped = client.create_deployment(
            known.flow_id, "dropped", entrypoint=known.entrypoint
        )
        foreign = client.create_deployment(
            known.flow_id, "foreign", entrypoint="elsewhere.py:flow"
        )
        assert Children(installation.home / "prefect").stop("worker")
        told = installation.haulage("up")
        for each in (dropped, foreign):
            client.delete_deployment(each)
    assert "'prefect deployment delete sync/dropped'" in told
    assert "foreign" not in told
    assert told.count("prefect deployment delete") == 1


def test_nothing_listens_but_on_loopback(installation: Installation) -> None:
    for pid in installation.processes(b"prefect"):
        for table in ("tcp", "tcp6"):
            for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
                local, state, inode = (line.split()[at] for at in (1, 3, 9))
                if state == "0A" and f"socket:[{inode}]" in sockets_of(pid):
                    assert local.startswith("0100007F:"), line


def test_secrets_stay_out_of_command_lines_and_unreadable_for_others(
    installation: Installation,
) -> None:
    key = installation.home / "prefect" / "encryption.key"
    assert key.stat().st_mode & 0o777 == 0o600
    for pid in installation.processes(b"prefect"):
        assert key.read_bytes() not in Path(f"/proc/{pid}/cmdline").read_bytes()


# With the standard library alone, as any user of the machine can.
INTRUDER = """
import json, sys, urllib.error, urllib.request
api, login = sys.argv[1:]
for method, path in (("GET", "/csrf-token?client=me"), ("POST", "/deployments/filter"),
                     ("POST", "/block_documents/filter"), ("POST", "/flow_runs/")):
    asked = urllib.request.Request(api + path, b"{}" if method == "POST" else None,
                                   {"Content-Type": "application/json"}, method=method)
    try:
        code = urllib.request.urlopen(asked, timeout=60).status
    except urllib.error.HTTPError as err:
        code = err.code
    print(code)
try:
    print(open(login).read())
except OSError as err:
    print(type(err).__name__)
"""


def test_another_user_of_the_machine_is_let_in_nowhere(
    installation: Installation,
) -> None:
    login = installation.home / "prefect" / "login"
    assert login.stat().st_mode & 0o777 == 0o600
    api = f"{installation.url()}/api"
    done = subprocess.run(
        [*AS_NOBODY, nobodys_python(), "-c", INTRUDER, api, str(login)],
        stdout=subprocess.PIPE,
        check=True,
    )
    *codes, file = done.stdout.decode().split()
    assert codes[0] == "401"
    assert set(codes) <= {"401", "403"}  # 403: without a token of the first call
    assert file in ("PermissionError", "FileNotFoundError")


def test_the_login_is_in_no_command_line_and_no_log(installation: Installation) -> None:
    secret = installation.login().partition(":")[2].encode()
    assert len(secret) >= 32
    for pid in installation.processes(b""):
        assert secret not in Path(f"/proc/{pid}/cmdline").read_bytes()
    logs = list((installation.home / "prefect").glob("*.log"))
    assert logs
    assert not any(secret in log.read_bytes() for log in logs)


def test_a_run_chooses_neither_its_command_nor_its_environment(
    installation: Installation, tmp_path: Path
) -> None:
    (tmp_path / "source").mkdir()
    ran = tmp_path / "ran"
    named = {"name": "chosen-command", "source": str(tmp_path / "source")}
    evil = {
        "command": f"touch {ran}",
        "env": {"HAULAGE_HOME": str(tmp_path / "elsewhere")},
        "env.HAULAGE_HOME": str(tmp_path / "elsewhere"),
        "working_dir": str(tmp_path),
    }
    with installation.client() as client:
        found = client.read_deployment_by_name("sync/python-library")
        run = client.create_flow_run_from_deployment(
            found.id,
            parameters={"dataset": {**named, "target": str(tmp_path / "target")}},
            job_variables=evil,
        )
    ended = installation.finished(run.id)
    assert ended.state
    assert ended.state.is_completed(), ended.state
    assert not ran.exists()
    assert not (tmp_path / "elsewhere").exists()


def test_a_pool_that_was_made_before_gets_the_present_template(
    installation: Installation,
) -> None:
    older = WorkPoolUpdate(
        base_job_template=ProcessWorker.get_default_base_job_template()
    )
    with installation.client() as client:
        asyncio.run(updated("haulage", older))
        assert "command" in str(client.read_work_pool("haulage").base_job_template)
        asyncio.run(register.ensure_pools())
        pool = client.read_work_pool("haulage")
    assert pool.base_job_template == lint.pool_templates()["haulage"]


async def updated(pool: str, update: WorkPoolUpdate) -> None:
    async with get_client() as client:
        await client.update_work_pool(pool, update)


def test_the_server_shows_its_pages(installation: Installation) -> None:
    asked = urllib.request.Request(
        f"{installation.url()}/deployments", headers={"Accept": "text/html"}
    )
    with urllib.request.urlopen(asked, timeout=60) as page:
        assert b"<html" in page.read().lower()


def many_files(root: Path) -> None:
    for number in range(MANY):
        if number % 1000 == 0:
            (root / f"{number:06}").mkdir(parents=True)
        (root / f"{number // 1000 * 1000:06}" / f"{number:06}").write_bytes(b"x" * 99)


def sockets_of(pid: int) -> set[str]:
    found = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            found.add(os.readlink(f"/proc/{pid}/fd/{fd}"))
        except FileNotFoundError:
            continue
    return found
