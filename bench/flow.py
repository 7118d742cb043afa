"""Take one run of a deployment, from being asked for to its end."""

import os
import re
import subprocess
import time
from pathlib import Path
from typing import Any

from bench import data
from bench.peers import program

ROOT = Path(__file__).parents[1]
DEPLOYMENT = "sync/usr-share"  # any: the run is given a dataset of its own
FILES = 1000
TIMEOUT_S = 300


def report() -> str:
    """Start a server and a worker, run the deployment once, and return the times."""
    with data.place_for(FILES * 4096) as place:
        data.make_tree(place / "source", FILES, 4096)
        # Prefect reads its settings when it is imported, which is below.
        os.environ["HAULAGE_HOME"] = os.environ["PREFECT_HOME"] = str(place / "home")
        os.environ.pop("HAULAGE_CATALOG", None)
        try:
            os.environ["PREFECT_API_URL"] = f"{_up()}/api"
            return _times(place)
        finally:
            subprocess.run([program("haulage"), "down"], check=True, cwd=ROOT)


def _up() -> str:
    command = [program("haulage"), "up"]
    said = subprocess.run(
        command, check=True, cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    address = re.search(r"http://127\.0\.0\.1:\d+", said.stdout)
    if not address:
        raise RuntimeError(f"haulage up did not say where Prefect runs: {said.stdout}")
    return address[0]


def _times(place: Path) -> str:
    from prefect.deployments import run_deployment

    import blocks.results  # noqa: F401 - knows how to read what the flow returned

    dataset = {
        "name": "bench",
        "source": str(place / "source"),
        "target": str(place / "target"),
    }
    began = time.time()
    flow_run: Any = run_deployment(
        DEPLOYMENT, parameters={"dataset": dataset}, timeout=TIMEOUT_S, poll_interval=1
    )
    if not flow_run.state or not flow_run.state.is_completed():
        raise RuntimeError(f"the run of {DEPLOYMENT} ended as {flow_run.state}")
    summary = flow_run.state.result()
    to_end_s = flow_run.end_time.timestamp() - began
    engine_s, first_byte_s = summary["seconds"], summary["first_byte_s"]
    rows = [
        ("asked for, until the flow runs", flow_run.start_time.timestamp() - began),
        ("asked for, until the first byte", to_end_s - engine_s + first_byte_s),
        ("the engine's start, until the first byte", first_byte_s),
        ("the engine's start, until its end", engine_s),
        ("asked for, until the flow's end", to_end_s),
    ]
    lines = [f"| {what} | {seconds:.2f} |" for what, seconds in rows]
    head = (
        f"### One run of a deployment, {FILES:,} files\n\n| from | s |\n| --- | --: |"
    )
    return "\n".join([head, *lines])
