"""The script of a batch job: a template, the launcher's prologue, and the command."""

import re
import shlex
from collections.abc import Sequence
from importlib import resources

from haulage.config.launchers import Slurm


def script_of(launcher: Slurm, command: Sequence[str]) -> str:
    """Return what a task runs; only the lines of the prologue are shell."""
    template = resources.files(__package__).joinpath("batch.sh").read_text("utf-8")
    filled = {
        "prologue": "\n".join(launcher.prologue),
        "command": shlex.join(command),
    }
    # In one pass, so that nothing is replaced in what was filled in.
    return re.sub(r"@(\w+)@", lambda found: filled[found[1]], template)
