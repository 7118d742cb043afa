"""A run's workspace directory (shard files, outcomes, logs), and its identity."""

import os
from pathlib import Path

from haulage.catalog.db.engine import home
from haulage.catalog.runs.runs import Run
from haulage.config.launchers import Slots
from haulage.private import make_file
from haulage.run.context.state_directory import WORK

_ID = "id"  # written last: a directory alone is no workspace


def workspace_of(run: Run) -> Path:
    """Return the path of a run's workspace on this machine, existing or not.

    Where movers run on other machines, it is in a directory that they see.
    """
    launcher = run.policy.launcher
    if isinstance(launcher, Slots):
        return Path(launcher.workspace) / run.id
    return home() / WORK / run.id


def is_here(run: Run) -> bool:
    """Tell whether this is the very workspace in which the run started.

    A run that is older than workspace identities is recognised by its shards.
    """
    workspace = workspace_of(run)
    if run.workspace is None:
        return (workspace / "shards").exists()
    try:
        return (workspace / _ID).read_text(encoding="ascii") == run.workspace
    except (OSError, ValueError):
        return False


def name(workspace: Path, token: str) -> None:
    """Write the identity of this workspace, atomically."""
    unfinished = workspace / f"{_ID}.unfinished"
    make_file(unfinished)
    unfinished.write_text(token, encoding="ascii")
    os.replace(unfinished, workspace / _ID)
