"""What `haulage up` refuses, before anything is started."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.flows.up import CHECKOUT


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def refusal(home: Path, *args: str, cwd: Path = CHECKOUT) -> str:
    """Return what `haulage up` says when it does nothing."""
    done = subprocess.run(
        [sys.executable, "-m", "haulage.cli.main", "up", *args],
        cwd=cwd,
        env=os.environ | {"HAULAGE_HOME": str(home), "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stdout + done.stderr
    assert not (home / "prefect" / "server.json").exists()
    return done.stderr


def test_a_password_on_the_command_line(home: Path) -> None:
    told = refusal(home, "--database", "postgresql://me:secret@host/prefect")
    assert "HAULAGE_PREFECT_DATABASE" in told
    assert "secret" not in told


def test_a_port_that_somebody_else_has(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"port {port}" in refusal(home, "--port", str(port))


def test_a_directory_that_is_no_checkout(home: Path, tmp_path: Path) -> None:
    assert "--project" in refusal(home, cwd=tmp_path)


def test_down_where_nothing_runs_says_so(home: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "haulage.cli.main", "down"],
        cwd=CHECKOUT,
        env=os.environ | {"HAULAGE_HOME": str(home)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert done.stdout == "nothing was running\n"
