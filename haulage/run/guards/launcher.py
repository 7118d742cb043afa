"""Check the launcher of a run before anything is touched."""

import os
from pathlib import Path

from haulage.config.launchers import Slurm
from haulage.config.policy import RunPolicy
from haulage.errors import RefusedError
from haulage.launch import open as launchers
from haulage.run.context.endpoints import Pair


def check_launcher(pair: Pair, policy: RunPolicy) -> None:
    """Refuse a workspace that is no good, and nodes that differ from the driver."""
    launcher = policy.launcher
    if not isinstance(launcher, Slurm):
        return
    workspace = Path(launcher.workspace)
    _check_apart(pair, workspace)
    place = launchers.Place("check", workspace, {}, pair.roots)
    try:
        launchers.check_launcher(launcher, place)
    except OSError as err:
        raise RefusedError(
            f"workspace {workspace}: {err.strerror}; name a directory that you may "
            "write, here and on all nodes"
        ) from err


def _check_apart(pair: Pair, workspace: Path) -> None:
    real = os.path.realpath(workspace)
    for what, place in (("source", pair.source), ("target", pair.target)):
        above = "" if place.is_bucket else os.path.realpath(place.url)
        if above and os.path.commonpath([real, above]) == above:
            raise RefusedError(
                f"workspace {workspace} lies in the {what} {place.url}; name a "
                "directory outside of both"
            )
