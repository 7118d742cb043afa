"""Shelves in real servers, and routes between them and directories."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.e2e.buckets.shelf import Shelf, Watch
from tests.servers.s3 import S3Server

Shelve = Callable[[S3Server], Shelf]
KEYS = ("AKIAI44QH8DHBEXAMPLE", "je7MtGbClwBF/2Zp9Utk/h3yCo8nvbEXAMPLEKEY")


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give every command the keys of rclone; the other servers take any."""
    settings = {
        "AWS_ACCESS_KEY_ID": KEYS[0],
        "AWS_SECRET_ACCESS_KEY": KEYS[1],
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def shelve(bucket: Callable[[S3Server], str]) -> Shelve:
    """Return what makes a shelf in a new bucket of a server."""
    return lambda server: Shelf(server, bucket(server))


@pytest.fixture
def moto_shelf(moto_s3: S3Server, shelve: Shelve) -> Shelf:
    """Return a shelf in moto."""
    return shelve(moto_s3)


@pytest.fixture
def strict_shelf(localstack: S3Server, shelve: Shelve) -> Shelf:
    """Return a shelf in LocalStack."""
    return shelve(localstack)


@pytest.fixture
def rclone_shelf(rclone_s3: S3Server, shelve: Shelve) -> Shelf:
    """Return a shelf in rclone's server."""
    return shelve(rclone_s3)


@pytest.fixture(
    params=[
        "moto_s3",
        *(
            pytest.param(name, marks=pytest.mark.torture)
            for name in ("localstack", "versitygw", "minio")
        ),
        "rclone_s3",
    ]
)
def any_shelf(request: pytest.FixtureRequest, shelve: Shelve) -> Shelf:
    """Return a shelf in each of the servers in turn."""
    return shelve(request.getfixturevalue(request.param))


@pytest.fixture
def watch() -> Iterator[Watch]:
    """Return what puts proxies before shelves."""
    with ExitStack() as stack:
        yield Watch(stack)
