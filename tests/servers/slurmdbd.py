"""Accounting of a cluster of SLURM: slurmdbd, and MariaDB that keeps its records."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.servers.processes import ServerFailedError
from tests.servers.slurm import SlurmCluster, free_ports

PROGRAMS = ("slurmdbd", "mariadbd", "mariadb-install-db")
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin"
_WAIT_S = 60.0
_CONF = """\
AuthType=auth/munge
AuthInfo=socket={root}/run/munge.sock
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={port}
CommunicationParameters=NoInAddrAny
SlurmUser=root
PidFile={root}/run/slurmdbd.pid
LogFile={root}/log/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={database}
StorageUser=slurm
StoragePass=x
StorageLoc=slurm_acct_db
"""
_GRANTS = """\
create database slurm_acct_db;
create user slurm@localhost identified by 'x';
create user slurm@127.0.0.1 identified by 'x';
grant all on slurm_acct_db.* to slurm@localhost;
grant all on slurm_acct_db.* to slurm@127.0.0.1;
"""
SETTINGS = """\
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={port}
AccountingStoragePass={root}/run/munge.sock
"""


@contextmanager
def accounting_of(cluster: SlurmCluster) -> Iterator[str]:
    """Run the accounting of a cluster that has munge alone; yield its settings."""
    port, database = free_ports(2)
    with _mariadb(cluster.root / "mariadb", database):
        conf = cluster.root / "slurmdbd.conf"
        conf.touch(0o600)
        root = cluster.root
        conf.write_text(_CONF.format(root=root, port=port, database=database))
        cluster.run("slurmdbd")
        (root / "slurm.conf").write_text(  # for sacctmgr, which needs no nodes
            f"ClusterName=test\nSlurmctldHost=localhost\nAuthType=auth/munge\n"
            f"AuthInfo=socket={root}/run/munge.sock\n"
            + SETTINGS.format(root=root, port=port)
        )
        cluster.wait_until(lambda: _knows_cluster(cluster))
        yield SETTINGS.format(root=root, port=port)


def _knows_cluster(cluster: SlurmCluster) -> bool:
    with suppress(ServerFailedError):
        cluster.run("sacctmgr", "-i", "add", "cluster", "test")
        return True
    return False


def skip_without() -> None:
    """Skip in words where the accounting cannot run."""
    if missing := [name for name in PROGRAMS if not shutil.which(name, path=_PATH)]:
        pytest.skip(f"{', '.join(missing)}: not there; see make test-slurmdbd")


@contextmanager
def _mariadb(root: Path, port: int) -> Iterator[None]:
    for name in ("data", "run"):
        (root / name).mkdir(parents=True)
    socket = root / "run/my.sock"
    where = ["--no-defaults", "--user=root", f"--datadir={root}/data"]
    quick = ["--auth-root-authentication-method=normal", "--skip-test-db"]
    _run(["mariadb-install-db", *where, *quick])
    listen = ["--bind-address=127.0.0.1", f"--port={port}", f"--socket={socket}"]
    with (root / "log").open("wb") as log:
        words = ["mariadbd", *where, *listen, "--innodb-buffer-pool-size=64M"]
        process = subprocess.Popen(words, stdout=log, stderr=log, env=_environ())
    try:
        client = ["mariadb", "--no-defaults", "-S", str(socket)]
        _answers(client)
        _run(client, _GRANTS)
        yield
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def _answers(client: list[str]) -> None:
    deadline = time.monotonic() + _WAIT_S
    while True:
        with suppress(subprocess.CalledProcessError):
            return _run(client, "select 1;")
        assert time.monotonic() < deadline, "MariaDB does not answer"
        time.sleep(0.05)


def _run(words: list[str], text: str = "") -> None:
    subprocess.run(
        words, input=text, text=True, check=True, capture_output=True, env=_environ()
    )


def _environ() -> dict[str, str]:
    return os.environ | {"PATH": _PATH}
