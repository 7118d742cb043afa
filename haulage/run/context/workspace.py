"""The directory where a run's shard files, outcomes and logs are, and whose it is."""

import os
from pathlib import Path

from haulage.catalog.db.engine import home
from haulage.catalog.runs.runs import Run
from haulage.private import make_file
from haulage.run.context.state_directory import WORK

_ID = "id"  # written last: a directory alone is no workspace


def workspace_of(run: Run) -> Path:
    """Return where a run's workspace is on this machine, if it is here."""
    return home() / WORK / run.id


def is_here(run: Run) -> bool:
    """Tell whether this is the very workspace that the run was made in.

    A run of before workspaces had names is known by its shards.
    """
    workspace = workspace_of(run)
    if run.workspace is None:
        return (workspace / "shards").exists()
    try:
        return (workspace / _ID).read_text(encoding="ascii") == run.workspace
    except (OSError, ValueError):
        return False


def name(workspace: Path, token: str) -> None:
    """Write what tells this workspace from every other, all of it or nothing."""
    unfinished = workspace / f"{_ID}.unfinished"
    make_file(unfinished)
    unfinished.write_text(token, encoding="ascii")
    os.replace(unfinished, workspace / _ID)
