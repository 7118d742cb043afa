"""Moto, which starts fast, keeps all in memory and checks no signatures."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.processes import Command, free_port, running
from tests.servers.s3 import S3Server


@contextmanager
def moto(directory: Path) -> Iterator[S3Server]:
    """Run the server of moto with its log in `directory`."""
    port = free_port()
    words = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with running(Command(words, {}, port, "/moto-api/"), directory) as log:
        endpoint = f"http://127.0.0.1:{port}"
        keys = ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
        yield S3Server("moto", endpoint, "us-east-1", *keys, log)
