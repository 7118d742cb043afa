"""Open the launcher that a policy names."""

import importlib.metadata
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from haulage.config.launchers import Local, Slurm
from haulage.errors import RefusedError
from haulage.exchange.wave_files import Root, Setup
from haulage.launch.engine import Engine
from haulage.launch.launcher import Launcher, Load
from haulage.launch.local import LocalPool
from haulage.launch.slots.check import check_site
from haulage.launch.slots.launcher import SlotLauncher
from haulage.launch.slots.options import SlotOptions
from haulage.launch.slurm.engine import SlurmEngine


@dataclass(frozen=True, slots=True)
class Place:
    """What launchers need of a run: its id, its workspace, what its movers get."""

    run_id: str
    workspace: Path
    environ: Mapping[str, str]
    roots: Sequence[Root]


def open_launcher(launcher: Local | Slurm | str, movers: int, place: Place) -> Launcher:
    """Return the launcher; `movers` are those of the driver."""
    if isinstance(launcher, str):
        raise RefusedError(
            f"launcher {launcher}: only flows load Prefect's blocks; run the dataset's "
            "deployment, or give the launcher's own options"
        )
    pool = LocalPool(movers, place.workspace / "logs", place.environ)
    if isinstance(launcher, Local):
        return pool
    options = options_of(launcher, place)
    return SlotLauncher(engine_of(launcher), place.workspace / "waves", options, pool)


def check_launcher(launcher: Slurm, place: Place) -> None:
    """Try the launcher with one slot; RefusedError names the node and what it lacks."""
    check_site(engine_of(launcher), place.workspace, options_of(launcher, place))


def engine_of(launcher: Slurm) -> Engine:
    """Return the engine that starts the launcher's slots."""
    return SlurmEngine(launcher)


def options_of(launcher: Slurm, place: Place) -> SlotOptions:
    """Return how the launcher's slots are started and watched."""
    setup = Setup(
        version=importlib.metadata.version("haulage"),
        uid=os.getuid(),
        movers=launcher.cpus_per_slot,
        look_s=min(10.0, launcher.lease / 4),
        roots=tuple(place.roots),
        environ=dict(place.environ),
    )
    return SlotOptions(
        prefix=f"haulage-{place.run_id}",
        slots=launcher.slots,
        setup=setup,
        small=Load(launcher.small_entries, launcher.small_bytes),
        poll_s=launcher.poll_seconds,
        hold_s=launcher.lease,
        python=launcher.python or sys.executable,
    )
