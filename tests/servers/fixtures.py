"""Real S3 servers for the session, and a fresh bucket wherever one is wanted.

Their logs stay in pytest's directories: $TMPDIR/pytest-of-*/pytest-current/.
"""

import os
from collections.abc import Callable, Iterator
from itertools import count

import pytest

from tests.servers.localstack import localstack as run_localstack
from tests.servers.moto import moto
from tests.servers.rclone import rclone
from tests.servers.s3 import S3Server

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


@pytest.fixture
def bucket() -> Callable[[S3Server], str]:
    """Return what makes an empty bucket in a server and returns its name."""

    def make(server: S3Server) -> str:
        name = f"test-{os.getpid()}-{next(_numbers)}"
        server.client().create_bucket(Bucket=name)
        return name

    return make
