"""Show two nights of a dataset on this machine: python -m deployments.demo [--keep]

Starts a Prefect server and a worker of its own, makes a source from this machine's
files, runs a deployment through the API, changes the source, runs it again, and has
other programs compare the trees. At the end everything is stopped and removed, or kept.
"""

import haulage.start  # comes before all else

# isort: split

import argparse
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.objects import FlowRun
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_URL,
    temporary_settings,
)

import blocks.results  # noqa: F401 - the results of runs are read through this block
from haulage.cli.server.login import login

CHECKOUT = Path(__file__).resolve().parent.parent
DEPLOYMENT = "sync/usr-share"
ENTRIES = 30_000
POLL_S = 1.0


def main() -> int:
    """Run the demo; 1 if target and source differ in the end."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--keep", action="store_true", help="leave everything running")
    keep = parser.parse_args().keep
    root = Path(tempfile.mkdtemp(prefix="haulage-demo-"))
    os.environ |= {"HAULAGE_HOME": str(root / "home"), "HOME": str(root)}
    source, target = root / "source", root / "target"
    with stage(root, keep=keep):
        say(f"{make_source(source):,} entries in {source}")
        with installation():
            night("one", source, target)
            say(f"{change(source):,} entries changed: edits, touches, modes, names")
            night("two", source, target)
            print(haulage("runs"))
        return compare(source, target)


def say(text: str) -> None:
    """Print one step."""
    print(f"\n== {text}", flush=True)


@contextmanager
def stage(root: Path, *, keep: bool) -> Iterator[None]:
    """Stop and remove everything at the end, unless it is to be kept."""
    try:
        yield
    finally:
        if keep:
            say("everything is kept; this ends it:")
            print(f"  HAULAGE_HOME={root / 'home'} haulage down && rm -r {root}")
        else:
            print(haulage("down"), end="")
            shutil.rmtree(root)


@contextmanager
def installation() -> Iterator[None]:
    """Start server and worker, and speak to that server."""
    say("haulage up")
    print(haulage("up"), end="")
    root = Path(os.environ["HAULAGE_HOME"]) / "prefect"
    port = (root / "port").read_text("utf-8")
    api = {
        PREFECT_API_URL: f"http://127.0.0.1:{port}/api",
        PREFECT_API_AUTH_STRING: login(root),
    }
    with temporary_settings(api):
        yield


def haulage(command: str) -> str:
    """Run a command of Haulage and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "haulage.cli.main", command],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        check=True,
    )
    return done.stdout


# ------------------------------------------------------------------ the trees


def make_source(source: Path) -> int:
    """Copy directories of this machine, symbolic links too, until there are enough."""
    entries = 0
    for tree in _trees():
        copy = source / tree.relative_to("/")
        shutil.copytree(tree, copy, symlinks=True, ignore_dangling_symlinks=True)
        entries += sum(1 for _ in copy.rglob("*"))
        if entries >= ENTRIES:
            break
    return entries


def _trees() -> Iterator[Path]:
    yield Path(sysconfig.get_path("stdlib"))
    for name in ("zoneinfo", "perl", "doc", "man", "locale", "icons"):
        if (tree := Path("/usr/share") / name).is_dir():
            yield tree


def change(source: Path) -> int:
    """Change some entries as a day of work does; return how many there were."""
    files = sorted(
        path for path in source.rglob("*") if path.is_file() and not path.is_symlink()
    )
    some = files[::100]
    for number, path in enumerate(some):
        _CHANGES[number % len(_CHANGES)](path)
    return len(some)


def _edit(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"one more line\n")


def _rename(path: Path) -> None:
    path.rename(path.with_name(path.name + ".moved"))


def _add(path: Path) -> None:
    made = path.with_name(path.name + ".d")
    made.mkdir()
    (made / "link").symlink_to(Path("..") / path.name)


_CHANGES = (
    _edit,
    Path.touch,
    lambda path: path.chmod(0o600),
    _rename,
    Path.unlink,
    _add,
)


def compare(source: Path, target: Path) -> int:
    """Have programs that are not Haulage compare the trees; 1 if they differ."""
    checks = [[sys.executable, "-m", "tests.trees.compare", str(source), str(target)]]
    if shutil.which("rsync"):
        mark = "--exclude=/.haulage-state-*"
        ends = [f"{source}/", f"{target}/"]
        checks.append(["rsync", "-aHnci", "--delete", mark, *ends])
    for check in checks:
        done = subprocess.run(
            check, cwd=CHECKOUT, stdout=subprocess.PIPE, encoding="utf-8", check=False
        )
        if done.returncode or done.stdout.strip():
            say(f"target and source DIFFER, says {' '.join(check[:4])}:")
            print(done.stdout[:2000])
            return 1
    say("target and source are equal, content and attributes")
    return 0


# ------------------------------------------------------------------ the runs


def night(which: str, source: Path, target: Path) -> None:
    """Run the deployment for the demo's dataset, and show its result."""
    say(f"night {which}: a run of {DEPLOYMENT} with other parameters")
    policy = {"delete": "guarded", "verify": "checksum"}
    dataset = {"name": "demo", "source": str(source), "target": str(target)}
    with get_client(sync_client=True) as client:
        deployment = client.read_deployment_by_name(DEPLOYMENT)
        started = client.create_flow_run_from_deployment(
            deployment.id, parameters={"dataset": {**dataset, "policy": policy}}
        )
        ended = follow(client, started.id)
    if not (ended.state and ended.state.is_completed()):
        sys.exit(f"the run ended {ended.state}")
    show(ended.state.result())


def follow(client: SyncPrefectClient, run_id: UUID) -> FlowRun:
    """Print each new state and progress of a run until it has ended."""
    told = ""
    while True:
        run = client.read_flow_run(run_id)
        told = _tell(_line(client, run), told)
        if run.state and run.state.is_final():
            return run
        time.sleep(POLL_S)


def _line(client: SyncPrefectClient, run: FlowRun) -> str:
    key = ArtifactFilter(key=ArtifactFilterKey(any_=["demo-progress"]))
    bars = client.read_artifacts(artifact_filter=key)
    mine = [bar for bar in bars if bar.flow_run_id == run.id and bar.description]
    name = str(run.state.name if run.state else "?")
    return f"{name:10} {mine[0].data:5.1f} %  {mine[0].description}" if mine else name


def _tell(line: str, told: str) -> str:
    if line != told:
        print(f"  {time.strftime('%H:%M:%S')}  {line}", flush=True)
    return line


def show(summary: dict[str, Any]) -> None:
    """Print the counts of a run."""
    for key in ("listed", "unchanged", "copied", "copied_bytes", "updated", "made"):
        print(f"  {key:13} {summary[key]:>12,}")
    for key in ("verified", "deleted", "failed"):
        print(f"  {key:13} {summary[key]:>12,}")
    print(f"  {'seconds':13} {summary['seconds']:>12.1f}")


if __name__ == "__main__":
    sys.exit(main())
