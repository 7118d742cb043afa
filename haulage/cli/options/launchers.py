"""The options that say where movers run."""

import argparse

_FIELDS = (
    ("workspace", "workspace", "DIR", "a directory that this machine and nodes see"),
    ("partition", "partition", "NAME", "to which jobs are submitted"),
    ("account", "account", "NAME", "that is charged for them"),
    ("qos", "qos", "NAME", "their quality of service"),
    ("reservation", "reservation", "NAME", "in which they run"),
    ("nodes", "nodes", "N", "nodes that work at once (default 1)"),
    ("slots-per-node", "slots_per_node", "N", "and slots on each (default 1)"),
    ("cpus-per-slot", "cpus_per_slot", "N", "and movers of each slot (default 1)"),
    ("mem", "memory_per_slot", "SIZE", "of a slot"),
    ("time", "time_limit", "TIME", "of a slot: 90m, 12h, 12:00:00, 2-00:00:00"),
    ("constraint", "constraint", "FEATURES", "that nodes must have"),
    ("exclude-nodes", "exclude", "NODES", "never run there: n1,n[3-5]"),
    ("gres", "gres", "LIST", "of a slot, such as nvme:1"),
    ("licenses", "licenses", "LIST", "of a slot, such as lustre:1"),
    ("nice", "nice", "N", "lower the priority by so much"),
    ("comment", "comment", "TEXT", "shown with the jobs"),
    ("end-lead", "end_lead", "AGE", "take no more so long before it (default 60s)"),
    ("python", "python", "FILE", "interpreter on nodes (default: this one)"),
    ("small-entries", "small_entries", "N", "start no job for so few (default 5000)"),
    ("small-bytes", "small_bytes", "SIZE", "nor for so few bytes (default 1G)"),
    ("poll-seconds", "poll_seconds", "N", "between two polls (default 15)"),
    ("lease", "lease", "AGE", "of a mover that is cut off (default 60s)"),
)
_LISTS = (
    ("sbatch", "extra", "OPTION", "of sbatch: --sbatch=--mail-type=FAIL"),
    ("module", "modules", "NAME", "load it before a slot starts"),
    ("prologue", "prologue", "LINE", "of shell that each slot runs first"),
    ("container-mount", "mounts", "MOUNT", "/PATH, /HOST:/CONTAINER[:ro]"),
)
OF_CONTAINER = ("runtime", "image", "mounts")
SLURM_OPTIONS = {field: f"--{name}" for name, field, *_ in (*_FIELDS, *_LISTS)} | {
    "exclusive": "--exclusive",
    "requeue": "--no-requeue",
    "image": "--container",
    "runtime": "--container-runtime",
}


def slurm_dest(field: str) -> str:
    """Return where the namespace has the value of an option of SLURM."""
    return f"slurm_{field}"


def add_launchers(parser: argparse.ArgumentParser) -> None:
    """Add the options of a launcher."""
    group = parser.add_argument_group("on SLURM")
    group.add_argument(
        "--launcher", metavar="KIND",
        help="where movers run: local (the default) or slurm",
    )  # fmt: skip
    for name, field, shown, text in _FIELDS:
        group.add_argument(
            f"--{name}", dest=slurm_dest(field), metavar=shown, help=text
        )
    for name, field, const, text in (
        ("exclusive", "exclusive", True, "each slot has a node of its own"),
        ("no-requeue", "requeue", False, "slots that Slurm ended stay so"),
    ):
        group.add_argument(
            f"--{name}", dest=slurm_dest(field), action="store_const", const=const,
            help=text,
        )  # fmt: skip
    for name, field, shown, text in _LISTS:
        group.add_argument(
            f"--{name}", dest=slurm_dest(field), action="append", metavar=shown,
            help=f"{text} (may be given again)",
        )  # fmt: skip
    group.add_argument(
        "--container", dest=slurm_dest("image"), metavar="IMAGE", help="run slots in it"
    )
    group.add_argument(
        "--container-runtime", dest=slurm_dest("runtime"), metavar="NAME",
        help="pyxis (the default) or apptainer",
    )  # fmt: skip
