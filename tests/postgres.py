"""A real Postgres server for the tests, and a fresh database for each of them."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import psycopg
import pytest

_MINIMUM = 15
_numbers = count()


@dataclass(frozen=True)
class PostgresServer:
    """A server that listens on a Unix socket in `socket_dir` only."""

    bin_dir: Path
    data_dir: Path
    socket_dir: Path

    def start(self) -> None:
        """Start the server and wait until it answers."""
        options = f"-k {self.socket_dir} -c listen_addresses= -c fsync=off"
        log = self.socket_dir / "log"
        self._run(
            "pg_ctl", "-D", self.data_dir, "-o", options, "-l", log, "-w", "start"
        )

    def stop(self, mode: str = "fast") -> None:
        """Stop the server; `immediate` is a crash."""
        self._run("pg_ctl", "-D", self.data_dir, "-m", mode, "-w", "stop")

    def url(self, database: str) -> str:
        """Return the URL of one database."""
        return f"postgresql://postgres@/{database}?host={self.socket_dir}"

    def fresh_database(self) -> str:
        """Make an empty database and return its URL."""
        name = f"test_{os.getpid()}_{next(_numbers)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"'.encode())
        return self.url(name)

    def make(self) -> None:
        """Make the server's data directory."""
        self._run("initdb", "-D", self.data_dir, "-U", "postgres", "-A", "trust", "-N")

    def _run(self, program: str, *args: str | Path) -> None:
        command = [*_as_postgres(), str(self.bin_dir / program), *map(str, args)]
        done = subprocess.run(
            command, cwd=self.socket_dir, capture_output=True, text=True, check=False
        )
        if done.returncode:
            pytest.fail(f"{program} failed: {done.stdout}{done.stderr}")


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """Run a Postgres server for the session."""
    with running() as server:
        yield server


@contextmanager
def running() -> Iterator[PostgresServer]:
    """Run a Postgres server of one's own."""
    bin_dir = _bin_dir()
    # Socket paths are bound to 107 bytes, too few for a directory of pytest's.
    directory = Path(tempfile.mkdtemp(prefix="haulage-pg-"))
    try:
        if os.geteuid() == 0:
            account = pwd.getpwnam("postgres")
            os.chown(directory, account.pw_uid, account.pw_gid)
        server = PostgresServer(bin_dir, directory / "data", directory)
        server.make()
        server.start()
        yield server
        server.stop("immediate")
    finally:
        shutil.rmtree(directory)


def _bin_dir() -> Path:
    found = list(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if in_path := shutil.which("initdb"):
        return Path(in_path).resolve().parent
    new = [path for path in found if int(path.parts[-3]) >= _MINIMUM]
    if not new:
        pytest.fail(
            f"no Postgres {_MINIMUM} or newer in /usr/lib/postgresql or PATH; install"
            " it (Debian: apt-get install postgresql)"
        )
    return max(new, key=lambda path: int(path.parts[-3])).parent


def _as_postgres() -> list[str]:
    # Postgres refuses to run as root.
    if os.geteuid() != 0:
        return []
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
