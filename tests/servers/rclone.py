"""`rclone serve s3`, a poor server: it checks signatures and ignores conditions."""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.processes import Command, ServerFailedError, free_port, running
from tests.servers.s3 import S3Server


@contextmanager
def rclone(
    directory: Path, *options: str | Path, scheme: str = "http"
) -> Iterator[S3Server]:
    """Run rclone's server, with more options, and its data and log in `directory`."""
    program = shutil.which("rclone", path=Path(sys.executable).parent)
    if program is None:
        raise ServerFailedError(
            f"no rclone beside {sys.executable}; install it (make .venv/.dev)"
        )
    port = free_port()
    keys = ("AKIAI44QH8DHBEXAMPLE", "je7MtGbClwBF/2Zp9Utk/h3yCo8nvbEXAMPLEKEY")
    buckets = directory / "data/buckets"
    words: list[str | Path] = [program, "serve", "s3", "--addr", f"127.0.0.1:{port}"]
    words += ["--auth-key", ",".join(keys), *options, str(buckets)]
    with running(Command(words, {}, port), directory) as log:
        endpoint = f"{scheme}://127.0.0.1:{port}"
        yield S3Server("rclone", endpoint, "us-east-1", *keys, log)
