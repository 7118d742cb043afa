"""What runs of the flows come to, called in this process and started by the worker."""

import gc
import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import FlowRun

from blocks.results import SAVED_AS, CatalogResults
from flows.apply_deletes import apply_deletes
from flows.sync import sync
from haulage.launch.launcher import STOP
from tests.flows.test_deployed import parameters
from tests.trees.compare import assert_same

pytestmark = [
    pytest.mark.timeout(600),
    # Prefect closes no connection by which it has loaded the block for results.
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]

FLOWS: dict[str, Callable[..., Any]] = {"sync": sync, "apply-deletes": apply_deletes}


class Runs(Protocol):
    """Runs flows by their names."""

    def ended(self, flow: str, asked: dict[str, Any]) -> FlowRun:
        """Run a flow with these parameters and return its run when it has ended."""

    def result(self, run_id: UUID) -> dict[str, Any]:
        """Return what a run returned."""


class Here:
    """Runs in this process."""

    def ended(self, flow: str, asked: dict[str, Any]) -> FlowRun:
        details = FLOWS[flow](**asked, return_state=True).state_details
        with get_client(sync_client=True) as client:
            return client.read_flow_run(details.flow_run_id)

    def result(self, run_id: UUID) -> dict[str, Any]:
        with get_client(sync_client=True) as client:
            state = client.read_flow_run(run_id).state
        assert state
        return dict(state.result())


@pytest.fixture
def here(
    prefect_server: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Here]:
    """Return what runs flows in this process, with a catalog of the test's own."""
    monkeypatch.setenv("HAULAGE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("HAULAGE_CATALOG", raising=False)
    CatalogResults().save(SAVED_AS.partition("/")[2], overwrite=True)
    yield Here()
    STOP.clear()  # which a flow that fails leaves for the end of its process
    gc.collect()  # here, and not in a test that minds


# A process of its own for each run takes five times as long.
@pytest.fixture(
    params=["prefect_server", pytest.param("installation", marks=pytest.mark.torture)]
)
def runs(request: pytest.FixtureRequest) -> Runs:
    """Return both in turn."""
    name = "here" if request.param == "prefect_server" else request.param
    made: Runs = request.getfixturevalue(name)
    return made


def test_the_form_chooses_what_is_preserved(runs: Runs, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    os.mkfifo(source / "fifo")
    os.utime(source / "fifo", ns=(0, 7))
    asked = parameters("chosen", source, tmp_path / "t", preserve=["mode", "specials"])
    run = runs.ended("sync", asked)
    assert run.state
    assert run.state.is_completed(), run.state
    found = os.lstat(tmp_path / "t" / "fifo")
    assert stat.S_ISFIFO(found.st_mode)
    assert found.st_mtime_ns != 7, "times were not asked for"


def test_a_dry_run_says_what_it_would_do_and_touches_nothing(
    runs: Runs, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_text("new")
    asked = parameters("dry", source, tmp_path / "target") | {"dry_run": True}
    run = runs.ended("sync", asked)
    assert run.state
    assert run.state.is_completed(), run.state
    assert run.name.startswith("dry-plan-")
    assert not (tmp_path / "target").exists()


def test_a_run_that_is_refused_fails_in_plain_words(runs: Runs, tmp_path: Path) -> None:
    asked = parameters("nowhere", tmp_path / "absent", tmp_path / "target")
    run = runs.ended("sync", asked)
    assert run.state
    assert run.state.is_failed()
    assert str(tmp_path / "absent") in str(run.state.message)
    assert not (tmp_path / "target").exists()


def test_a_run_that_could_not_do_everything_fails_with_the_count(
    runs: Runs, tmp_path: Path
) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "name").write_text("a file")
    (tmp_path / "target" / "name" / "below").mkdir(parents=True)
    asked = parameters("blocked", tmp_path / "source", tmp_path / "target")
    run = runs.ended("sync", asked)
    assert run.state
    assert run.state.is_failed()
    assert re.search(r"^1 of \d+ entries failed", str(run.state.message))


def test_deletes_over_a_cap_wait_until_their_number_is_typed(
    runs: Runs, tmp_path: Path
) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    for name in ("stays", "goes", "goes too"):
        (source / name).write_text(name)
    capped = {"delete": "guarded", "guards": {"max_count": 1}}
    asked = parameters("capped", source, target, **capped)
    runs.ended("sync", asked)
    for name in ("goes", "goes too"):
        (source / name).unlink()
    run = runs.ended("sync", asked)
    plan = runs.result(run.id)["waiting_plan"]
    mine = FlowRunFilter(id=FlowRunFilterId(any_=[run.id]))
    with get_client(sync_client=True) as client:
        pages = {
            one.key: one.data for one in client.read_artifacts(flow_run_filter=mine)
        }
    assert "`goes too`" in str(pages["capped-deletes"])
    assert "--yes-delete 2" in str(pages["capped-deletes"])

    def applied(entries: int) -> FlowRun:
        typed = {"plan": plan, "yes_delete": entries}
        return runs.ended("apply-deletes", typed)

    refused = applied(3)
    assert refused.state
    assert refused.state.is_failed()
    assert "has 2 entries" in str(refused.state.message)
    assert (target / "goes").exists()
    done = applied(2)
    assert done.state
    assert done.state.is_completed(), done.state
    assert "dataset:capped" in done.tags
    assert runs.result(done.id)["deleted"] == 2
    assert_same(source, target)
