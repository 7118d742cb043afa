"""Start and stop a Prefect server and a worker on this machine.

Both are detached processes, found again by what `<home>/prefect/` says of them: ids,
start times, logs.
"""

import argparse
import base64
import fcntl
import json
import os
import socket
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from haulage.catalog.db.engine import home
from haulage.cli.passwords import check_shows_none
from haulage.cli.server.detached import Children
from haulage.cli.server.login import (
    asked,
    check_asks_for_login,
    login,
    login_file,
    secret,
)
from haulage.errors import FatalError, RefusedError
from haulage.private import make_directory, tighten
from haulage.run.context.state_directory import SERVER

HOST = "127.0.0.1"
PORT = 4200
POOL = "haulage"
CODE = ("prefect.yaml", "flows", "blocks", "deployments")  # of a checkout, that is run
PYTHON = (sys.executable, "-P")
PREFECT = (*PYTHON, "-m", "prefect")
DATABASE_VARIABLE = "HAULAGE_PREFECT_DATABASE"
TELL = "haulage: "  # begins a line that register says to who called `haulage up`
READY_TIMEOUT_S = 300.0

# Task states travel through a bounded queue in the server: recorded one at a time,
# which is the default, a burst of them is lost.
RECORDER = {
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "200",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_BATCH_SIZE": "200",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_READ_BATCH_SIZE": "50",
}
# Leases in the server's memory, the default, end with it: a restart crashes long runs.
LEASES = "prefect.server.concurrency.lease_storage.filesystem"


def up(args: argparse.Namespace) -> int:
    """Start server and worker, register blocks and deployments, and say where they are.

    `args` has project (the checkout), port and database, each None for the default.
    """
    project = _project(args.project)
    with _only_one() as children:
        port = _port_in_use(children)
        if port and children.find("worker"):
            check_asks_for_login(_api(port))
            print(f"Prefect already runs at http://{HOST}:{port}")
            return 0
        began = time.monotonic()
        port = port or _start_server(children, project, args)
        env = _client_environment(children, port) | _of_checkout(project)
        _register(children, project, env)
        check_asks_for_login(_api(port))
        _start_worker(children, project, env, port)
        _say_what_next(children, port, time.monotonic() - began)
    return 0


def down(args: argparse.Namespace) -> int:  # noqa: ARG001 - the signature of a command
    """Stop the worker, then the server; both only if `up` started them."""
    with _only_one() as children:
        stopped = [name for name in ("worker", "server") if children.stop(name)]
    print(f"stopped {' and '.join(stopped)}" if stopped else "nothing was running")
    return 0


def _project(given: str | None) -> Path:
    project = Path(given or ".").resolve()
    for name in CODE:
        if not (project / name).exists():
            raise RefusedError(
                f"{project} has no {name}: run this in a checkout of Haulage, or name "
                f"one with --project"
            )
    for path in (project, *(project / name for name in CODE)):
        _check_is_trusted(path)
    return project


def _check_is_trusted(path: Path) -> None:
    """Refuse code that others may change: it would run with this user's rights."""
    found = path.stat()
    is_anybodys = found.st_mode & stat.S_IWOTH
    is_anothers = os.geteuid() == 0 and found.st_uid != 0
    if is_anybodys or is_anothers:
        raise RefusedError(
            f"{path} (uid {found.st_uid}, mode {stat.S_IMODE(found.st_mode):04o}) may "
            f"be changed by another user, whose code would run as uid {os.geteuid()}: "
            f"change its owner or mode, or run this as its owner"
        )


@contextmanager
def _only_one() -> Iterator[Children]:
    """Hold the site's lock, so that two commands do not start two servers."""
    root = home().resolve() / SERVER
    make_directory(root)
    tighten(root)
    with (root / "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield Children(root)


# ------------------------------------------------------------------ starting


def _port_in_use(children: Children) -> int | None:
    """Return the port of the server that runs, if one does."""
    return (
        int(_port_file(children).read_text("utf-8"))
        if children.find("server")
        else None
    )


def _port_file(children: Children) -> Path:
    return children.root / "port"


def _start_server(children: Children, project: Path, args: argparse.Namespace) -> int:
    port = _free_port(args.port)
    env = {
        **_client_environment(children, port),
        **_server_environment(children, port),
        **_database(args.database),
    }
    command = ["server", "start", "--host", HOST, "--port", str(port)]
    _port_file(children).write_text(str(port), "utf-8")
    children.start("server", [*PREFECT, *command], project, env)
    return port


def _start_worker(
    children: Children, project: Path, env: Mapping[str, str], port: int
) -> None:
    command = ["worker", "start", "--pool", POOL, "--type", "process", "--name", POOL]
    children.start("worker", [*PREFECT, *command], project, env)
    deadline = time.monotonic() + READY_TIMEOUT_S
    while not _worker_online(children, port):
        _must_live(children, "worker", deadline)
        time.sleep(0.2)


def _register(children: Children, project: Path, env: Mapping[str, str]) -> None:
    """Prepare the server; this starts at once and waits for it, importing meanwhile."""
    with children.log("register").open("wb") as log:
        process = subprocess.Popen(
            [*PYTHON, "-m", "deployments.register"],
            cwd=project,
            env=env,
            stdout=log,
            stderr=log,
        )
    deadline = time.monotonic() + READY_TIMEOUT_S
    try:
        while process.poll() is None:
            _must_live(children, "server", deadline)
            time.sleep(0.1)
    finally:
        process.kill()
        process.wait()
    if process.returncode:
        raise FatalError(_told("register", children, "deployments could not be made"))
    for line in children.log("register").read_text("utf-8", "replace").splitlines():
        if line.startswith(TELL):
            print(line)


def _must_live(children: Children, name: str, deadline: float) -> None:
    if not children.find(name):
        raise FatalError(
            _told(name, children, f"the {name} ended right after its start")
        )
    if time.monotonic() > deadline:
        raise FatalError(
            _told(name, children, f"not ready after {READY_TIMEOUT_S:.0f} s")
        )


def _told(name: str, children: Children, what: str) -> str:
    """Return `what` with the end of the log in which its reason stands."""
    lines = children.log(name).read_text("utf-8", "replace").splitlines()[-15:]
    return "\n".join([f"{what}; {children.log(name)} ends:", *lines])


# ------------------------------------------------------------------ settings


def _client_environment(children: Children, port: int) -> dict[str, str]:
    """Return what the worker and its flows need.

    The person's own Prefect settings stay out: they speak of another server.
    """
    own = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
    direct = [name for name in (own.get("NO_PROXY"), HOST, "localhost") if name]
    return own | {
        "HAULAGE_HOME": str(home().resolve()),
        "NO_PROXY": ",".join(direct),
        "DO_NOT_TRACK": "1",
        "PYTHONUNBUFFERED": "1",
        "PYTHONSAFEPATH": "1",  # as -P, for what Prefect starts
        "PYTHONUTF8": "1",
        "PREFECT_HOME": str(children.root),
        "PREFECT_API_URL": _api(port),
        "PREFECT_API_AUTH_STRING": login(children.root),
        "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",
        "PREFECT_DEPLOYMENTS_CLEAR_SCHEDULES_ON_EMPTY": "true",
        "PREFECT_RUNNER_AUTO_INSTALL_DEPENDENCIES": "false",
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        "PREFECT_LOGGING_EXTRA_LOGGERS": "haulage",
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    }


def _of_checkout(project: Path) -> dict[str, str]:
    """Return where flows and blocks are imported from, whatever directory is current.

    They are not installed.
    """
    paths = (str(project), os.environ.get("PYTHONPATH", ""))
    return {"PYTHONPATH": os.pathsep.join(filter(None, paths))}


def _api(port: int) -> str:
    return f"http://{HOST}:{port}/api"


def _server_environment(children: Children, port: int) -> dict[str, str]:
    return RECORDER | {
        "PREFECT_SERVER_API_AUTH_STRING": login(children.root),
        "PREFECT_SERVER_ENCRYPTION_KEY": _encryption_key(children),
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": LEASES,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": f"http://{HOST}:{port}",
        "PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED": "true",
        "PREFECT_UI_API_URL": _api(port),
    }


def _encryption_key(children: Children) -> str:
    """Return the key of the block documents."""
    return secret(
        children.root / "encryption.key",
        lambda: base64.urlsafe_b64encode(os.urandom(32)).decode(),
    )


def _database(given: str | None) -> dict[str, str]:
    """Return the setting for another database than SQLite in the site's directory."""
    url = given or os.environ.get(DATABASE_VARIABLE)
    if not url:
        return {}
    if given:
        check_shows_none("--database", given, DATABASE_VARIABLE)
    scheme, _, rest = url.partition("://")
    driver = "postgresql+asyncpg" if scheme.startswith("postgres") else scheme
    return {"PREFECT_SERVER_DATABASE_CONNECTION_URL": f"{driver}://{rest}"}


def _free_port(wanted: int | None) -> int:
    """Return the port that was asked for, else the usual one, else any free one."""
    for port in (PORT, 0) if wanted is None else (wanted,):
        with closing(socket.socket()) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise RefusedError(f"port {wanted} of {HOST} is taken: choose another with --port")


# ------------------------------------------------------------------ asking, telling


def _worker_online(children: Children, port: int) -> bool:
    """Tell whether the server has heard of a worker in the pool."""
    try:
        answer = asked(f"{_api(port)}/work_pools/{POOL}", login(children.root))
    except (urllib.error.URLError, TimeoutError):
        return False
    return bool(json.loads(answer)["status"] == "READY")


def _say_what_next(children: Children, port: int, seconds: float) -> None:
    url = f"http://{HOST}:{port}"
    root = children.root
    words = login_file(root)
    print(f"""Prefect runs at {url} (ready after {seconds:.0f} s; logs in {root})

  {url}/deployments          start a run, change its parameters; log in with the
                                 line in {words}
  export PREFECT_API_URL={_api(port)}
  export PREFECT_API_AUTH_STRING="$(cat {words})"
  prefect deployment run sync/python-library
  haulage runs                   what became of the runs
  haulage down                   stop server and worker""")
