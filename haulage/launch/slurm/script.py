"""The script of a batch job: a template, what comes first, and the slot's command."""

import re
import shlex
from collections.abc import Sequence
from importlib import resources

from haulage.config.containers import Runtime
from haulage.config.launchers import Slurm

_PROFILE = "source /etc/profile"  # where sites define `module`


def script_of(launcher: Slurm, command: Sequence[str]) -> str:
    """Return what a task runs; only the lines of the prologue are shell."""
    template = resources.files(__package__).joinpath("batch.sh").read_text("utf-8")
    modules = [f"module load {shlex.quote(one)} || exit" for one in launcher.modules]
    filled = {
        "modules": "\n".join([_PROFILE, *modules] if modules else []),
        "prologue": "\n".join(launcher.prologue),
        "command": shlex.join([*_container(launcher), *command]),
    }
    # In one pass, so that nothing is replaced in what was filled in.
    return re.sub(r"@(\w+)@", lambda found: filled[found[1]], template)


def _container(launcher: Slurm) -> list[str]:
    """Return the words that run a command in the launcher's container."""
    container = launcher.container
    if container is None:
        return []
    workspace = f"{launcher.workspace}:{launcher.workspace}"
    mounts = ",".join([workspace, *container.mounts])
    if container.runtime is Runtime.APPTAINER:
        return ["apptainer", "exec", "--bind", mounts, container.image]
    return [
        *("srun", "--ntasks=1", f"--cpus-per-task={launcher.cpus_per_slot}"),
        "--export=ALL",  # a step would get less if its job did
        *(f"--container-image={container.image}", f"--container-mounts={mounts}"),
    ]


def is_a_step(launcher: Slurm) -> bool:
    """Tell whether the slot is a step of the job, and not the batch script itself."""
    container = launcher.container
    return container is not None and container.runtime is Runtime.PYXIS
