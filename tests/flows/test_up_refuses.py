"""What `haulage up` refuses, before anything is started."""

import os
import socket
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from haulage.cli.server.login import check_asks_for_login
from haulage.errors import RefusedError
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


def test_a_checkout_that_anybody_may_change(home: Path, tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    for name in ("flows", "blocks", "deployments"):
        (checkout / name).mkdir(parents=True)
    (checkout / "prefect.yaml").touch()
    (checkout / "flows").chmod(0o777)
    told = refusal(home, "--project", str(checkout))
    assert str(checkout / "flows") in told
    assert "another user" in told


def test_a_login_that_others_can_read(home: Path) -> None:
    (home / "prefect").mkdir(parents=True)
    (home / "prefect" / "login").write_text("haulage:known")
    (home / "prefect" / "login").chmod(0o644)
    told = refusal(home)
    assert str(home / "prefect" / "login") in told
    assert "known" not in told.replace("may know", "")


def test_a_server_without_a_login_is_refused() -> None:
    class Open(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Open) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(RefusedError, match="asks for no login"):
            check_asks_for_login(f"http://127.0.0.1:{server.server_port}/api")
        server.shutdown()
