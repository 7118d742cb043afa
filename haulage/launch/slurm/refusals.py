"""What sbatch says when it refuses a job, and what a person can do about it."""

import re
from dataclasses import dataclass

from haulage.errors import RefusedError


@dataclass(frozen=True, slots=True)
class _Kind:
    """Words of SLURM, the fields that they are about, and where valid values are."""

    words: str
    fields: str
    look: str


_ASSOCIATIONS = "'sacctmgr show associations user=$USER' lists what you may use"
_SIZES = "'sinfo -o \"%P %D %c %m %l\"' lists what partitions have"
# The first that matches decides.
_KINDS = (
    _Kind(r"accounting/qos policy|submitjob", "account or QOS", _ASSOCIATIONS),
    _Kind(
        r"invalid partition|partition name|group not permitted to use this partition",
        "partition",
        "'sinfo -s' lists the partitions",
    ),
    _Kind(r"reservation", "reservation", "'scontrol show reservation' lists them"),
    _Kind(r"license", "licenses", "'scontrol show licenses' lists them"),
    _Kind(r"gres|generic resource", "gres", "'sinfo -o \"%N %G\"' lists them"),
    _Kind(
        r"feature spec|--constraint",
        "constraint",
        "'sinfo -o \"%N %f\"' lists features of nodes",
    ),
    _Kind(
        r"time limit|--time\b",
        "time limit",
        "'sinfo -o \"%P %l\"' lists the limits of partitions",
    ),
    _Kind(
        r"invalid account|account/partition|account is not", "account", _ASSOCIATIONS
    ),
    _Kind(r"qos spec|invalid qos|qos not|qos permission", "QOS", _ASSOCIATIONS),
    _Kind(r"\bmemory|--mem\b", "memory per slot", _SIZES),
    _Kind(
        r"processors requested|cpu count|node count|configuration (is )?not available",
        "nodes, CPUs per slot or memory per slot",
        _SIZES,
    ),
    _Kind(
        r"unrecognized option|requires an argument|doesn't allow an argument"
        r"|ambiguous|invalid --|invalid (option|argument)",
        "more options",
        "'man sbatch' explains them",
    ),
    _Kind(
        r"invalid user|access/permission|permission denied",
        "user",
        "ask whoever runs the cluster whether you may submit from this machine",
    ),
    _Kind(r"job array", "number of slots", "'scontrol show config' has MaxArraySize"),
    _Kind(r"", "options", "'man sbatch' explains them"),
)
# A smaller array may be taken.
_TOO_MANY = re.compile(
    r"invalid job array spec|accounting/qos policy|submitjob|jobs? limit"
    r"|too many (jobs|tasks)",
    re.IGNORECASE,
)


def is_too_many(said: str) -> bool:
    """Tell whether SLURM may take fewer slots in one array."""
    return bool(_TOO_MANY.search(said))


def refusal(said: str) -> RefusedError:
    """Return an error that names the option and the next step."""
    words = " ".join(said.replace("sbatch: error: ", "").split())
    kind = next(one for one in _KINDS if re.search(one.words, words, re.IGNORECASE))
    return RefusedError(
        f"SLURM refuses the launcher's {kind.fields}: {words or 'without a word'}; "
        f"{kind.look}"
    )
