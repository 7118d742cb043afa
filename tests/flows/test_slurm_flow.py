"""Runs of a deployment whose waves are job arrays: Prefect, SLURM and Postgres."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect.states import Cancelling

from haulage.catalog.db.engine import open_catalog
from haulage.catalog.runs import runs
from tests.e2e.test_slots import moves
from tests.e2e.test_slurm import LAUNCHER, jobs_of
from tests.engine_builders import allocate_huge, until
from tests.flows.test_deployed import parameters
from tests.flows.up import Installation, brought_up
from tests.postgres import PostgresServer
from tests.servers.slurm import SlurmCluster
from tests.trees.build import plant
from tests.trees.compare import assert_same

pytestmark = [pytest.mark.timeout(600), pytest.mark.torture]


@pytest.fixture(scope="module")
def submitting(
    postgres: PostgresServer,
    slurm_of_session: SlurmCluster,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Installation]:
    """Return an installation whose worker may submit jobs."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in slurm_of_session.environ.items():
            patch.setenv(name, value)
        root = tmp_path_factory.mktemp("submitting")
        with brought_up(postgres, root) as made, made.served():
            yield made


@pytest.fixture
def asked(slurm: SlurmCluster, tmp_path: Path) -> Any:
    """Return the parameters of a run all of whose work is done on the cluster."""
    plant(tmp_path / "source", seed=7, entries=300)
    launcher = LAUNCHER | {"workspace": str(tmp_path / "shared")}
    shards = {"max_entries": 20, "max_bytes": 1 << 50}
    ends = (tmp_path / "source", tmp_path / "target")
    return parameters(tmp_path.name, *ends, launcher=launcher, shards=shards)


def begun_with_huge(submitting: Installation, asked: Any, tmp_path: Path) -> UUID:
    """Start a run that takes long, and wait until a slot works on it."""
    allocate_huge(tmp_path / "source" / "huge")
    run = submitting.start("python-library", asked)
    until(lambda: moves(tmp_path / "target"), 120)
    return run


def test_a_run_of_a_deployment_is_done_on_the_cluster(
    submitting: Installation, slurm: SlurmCluster, asked: Any, tmp_path: Path
) -> None:
    run = submitting.finished(submitting.start("python-library", asked))
    assert run.state
    assert run.state.is_completed(), run.state
    assert_same(tmp_path / "source", tmp_path / "target")
    until(lambda: jobs_of(slurm) == [])


def test_a_cancel_ends_the_arrays(
    submitting: Installation, slurm: SlurmCluster, asked: Any, tmp_path: Path
) -> None:
    run = begun_with_huge(submitting, asked, tmp_path)
    with submitting.client() as client:
        client.set_flow_run_state(run, Cancelling())
    cancelled = submitting.finished(run)
    assert cancelled.state
    assert cancelled.state.is_cancelled(), cancelled.state
    until(lambda: jobs_of(slurm) == [])
    until(lambda: not moves(tmp_path / "target"))


def test_a_run_whose_process_is_killed_goes_on(
    submitting: Installation, slurm: SlurmCluster, asked: Any, tmp_path: Path
) -> None:
    run = begun_with_huge(submitting, asked, tmp_path)
    with open_catalog(submitting.env["HAULAGE_CATALOG"]) as catalog:
        driven = runs.by_flow_run(catalog, str(run))
    assert driven
    os.kill(driven.driver.pid, signal.SIGKILL)
    submitting.finished(run)
    os.truncate(tmp_path / "source" / "huge", 1)
    submitting.haulage("resume", driven.id)  # exits 0
    assert_same(tmp_path / "source", tmp_path / "target")
