"""Servers that make builds with Go, where there is one; go.versions names them."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.servers.processes import Command, free_port, running
from tests.servers.s3 import S3Server

_BUILT = Path(__file__).parents[2] / "build/go"
_KEYS = ("AKIAI44QH8DHBEXAMPLE", "je7MtGbClwBF/2Zp9Utk/h3yCo8nvbEXAMPLEKEY")


def _program(name: str) -> Path:
    program = _BUILT / name
    if not program.exists():
        go = "its build failed" if shutil.which("go") else "Go is not installed"
        pytest.skip(f"there is no {name} to test against: {go}; make build/go/{name}")
    return program


@contextmanager
def versitygw(directory: Path) -> Iterator[S3Server]:
    """Run a gateway before a directory, which lists only what XML has room for."""
    port = free_port()
    words: list[str | Path] = [_program("versitygw"), "--port", f"127.0.0.1:{port}"]
    words += ["--access", _KEYS[0], "--secret", _KEYS[1], "--quiet", "posix", "."]
    with running(Command(words, {}, port), directory) as log:
        endpoint = f"http://127.0.0.1:{port}"
        yield S3Server("versitygw", endpoint, "us-east-1", *_KEYS, log)


@contextmanager
def minio(directory: Path) -> Iterator[S3Server]:
    """Run MinIO with one disk, its data and log in `directory`."""
    port = free_port()
    words: list[str | Path] = [_program("minio"), "server", "--quiet", "--anonymous"]
    words += ["--address", f"127.0.0.1:{port}", "--console-address", "127.0.0.1:0"]
    settings = {
        "MINIO_ROOT_USER": _KEYS[0],
        "MINIO_ROOT_PASSWORD": _KEYS[1],
        "MINIO_BROWSER": "off",
        "MINIO_UPDATE": "off",
    }
    command = Command([*words, "disk"], settings, port, "/minio/health/ready")
    with running(command, directory) as log:
        endpoint = f"http://127.0.0.1:{port}"
        yield S3Server("minio", endpoint, "us-east-1", *_KEYS, log)
