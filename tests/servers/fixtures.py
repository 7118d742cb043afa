"""Real servers for the session, and a fresh bucket wherever one is wanted.

Their logs stay in pytest's directories: $TMPDIR/pytest-of-*/pytest-current/.
"""

import os
from collections.abc import Callable, Iterator
from itertools import count

import pytest

from tests.servers.golang import minio as run_minio
from tests.servers.golang import versitygw as run_versitygw
from tests.servers.localstack import localstack as run_localstack
from tests.servers.moto import moto
from tests.servers.rclone import rclone
from tests.servers.s3 import S3Server
from tests.servers.slurm import SlurmCluster, slurm_cluster

_numbers = count()


@pytest.fixture(scope="session")
def localstack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """Run LocalStack for the session."""
    with run_localstack(tmp_path_factory.mktemp("localstack")) as server:
        yield server


@pytest.fixture(scope="session")
def moto_s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """Run moto for the session."""
    with moto(tmp_path_factory.mktemp("moto")) as server:
        yield server


@pytest.fixture(scope="session")
def rclone_s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """Run rclone's server for the session."""
    with rclone(tmp_path_factory.mktemp("rclone")) as server:
        yield server


@pytest.fixture(scope="session")
def versitygw(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """Run versitygw for the session, or skip in words."""
    with run_versitygw(tmp_path_factory.mktemp("versitygw")) as server:
        yield server


@pytest.fixture(scope="session")
def minio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """Run MinIO for the session, or skip in words."""
    with run_minio(tmp_path_factory.mktemp("minio")) as server:
        yield server


@pytest.fixture(scope="session")
def slurm_of_session() -> Iterator[SlurmCluster]:
    """Run a cluster of SLURM for the session, or skip in words."""
    with slurm_cluster() as cluster:
        yield cluster


@pytest.fixture
def slurm(
    slurm_of_session: SlurmCluster, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SlurmCluster]:
    """Give a cluster without jobs, to which SLURM's programs talk."""
    for name, value in slurm_of_session.environ.items():
        monkeypatch.setenv(name, value)
    yield slurm_of_session
    slurm_of_session.clear()


@pytest.fixture
def bucket() -> Callable[[S3Server], str]:
    """Return what makes an empty bucket in a server and returns its name."""

    def make(server: S3Server) -> str:
        name = f"test-{os.getpid()}-{next(_numbers)}"
        server.client().create_bucket(Bucket=name)
        return name

    return make
