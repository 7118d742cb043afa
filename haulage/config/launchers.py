"""Launchers as values: where a dataset's movers run, and how many."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    field_validator,
    model_validator,
)

from haulage.config.containers import Container
from haulage.config.limits import Size
from haulage.config.store_options import Form
from haulage.config.units import parse_age, parse_size, parse_time_limit

_Seconds = Annotated[float, Field(ge=1), BeforeValidator(parse_age)]
_TimeLimit = Annotated[float, Field(ge=60), BeforeValidator(parse_time_limit)]
_Memory = Annotated[int, Field(ge=1 << 24), BeforeValidator(parse_size)]
_WORD = r"^[A-Za-z0-9_.,:=*@+%&|()\[\]/-]+$"  # what sbatch's options are made of
_LINE = re.compile(r"--[a-z][a-z0-9-]*(=[^\n\r\0]*)?")
_MODULE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/+@:=-]*")
_EARLY_S = 60  # so much before its time SLURM may send a signal
# What Haulage says itself: by it a job is found again, or it has a field.
OWN_OPTIONS = (
    *("account", "array", "chdir", "clusters", "comment", "constraint"),
    *("cpus-per-task", "dependency", "error", "exclude", "exclusive", "export"),
    *("export-file", "get-user-env", "gid", "gres", "help", "hold", "input"),
    *("job-name", "kill-on-invalid-dep", "licenses", "mem", "mem-per-cpu", "nice"),
    *("no-requeue", "nodes", "ntasks", "open-mode", "output", "parsable", "partition"),
    *("qos", "quiet", "requeue", "reservation", "signal", "test-only", "time", "uid"),
    *("usage", "version", "wait", "wrap"),
)


def _word(title: str, description: str) -> Any:  # noqa: ANN401  a field
    return Field(
        None, max_length=200, pattern=_WORD, title=title, description=description
    )


class Local(Form):
    """Movers are processes of the machine that drives the run."""

    kind: Literal["local"] = Field(
        "local",
        title="Launcher",
        description="local",
        json_schema_extra={"enum": ["local"]},
    )


class Slots(Form):
    """Movers in slots on other machines; what every engine of slots has in common."""

    workspace: str = Field(
        title="Workspace",
        pattern=r"^/[^\x00\n\\]*[^/\x00\n\\]$",
        description="A directory, by its absolute path, that the driver and all nodes "
        "see and may write. Runs keep their shards, outcomes and logs there.",
    )
    small_entries: int = Field(
        5000,
        ge=0,
        title="Entries of a small wave",
        description="Work that is small in entries and bytes is done by movers of the "
        "driver: starting a job would take longer.",
    )
    small_bytes: Size = Field(
        1 << 30, title="Bytes of a small wave", description="See above."
    )
    poll_seconds: _Seconds = Field(
        15.0,
        title="Poll",
        description="Seconds between two questions to the engine; more while nothing "
        "happens.",
    )
    lease: _Seconds = Field(
        60.0,
        title="Lease",
        description="Seconds for which a mover that cannot reach the workspace may go "
        "on. Work of a lost node is done again after about three times as long.",
    )
    python: str | None = Field(
        None,
        title="Python",
        pattern=r"^/[^\x00\n]+$",
        description="The interpreter on the nodes, with the same version of Haulage. "
        "If empty: the driver's path.",
    )


class Slurm(Slots):
    """Movers are tasks of SLURM job arrays."""

    kind: Literal["slurm"] = Field(
        title="Launcher", description="slurm", json_schema_extra={"enum": ["slurm"]}
    )
    partition: str | None = _word("Partition", "See 'sinfo'.")
    account: str | None = _word("Account", "To whom the jobs are charged.")
    qos: str | None = _word("QOS", "Quality of service.")
    reservation: str | None = _word("Reservation", "Run in this reservation.")
    nodes: int = Field(
        1, ge=1, le=10_000, title="Nodes", description="At most so many nodes."
    )
    slots_per_node: int = Field(
        1,
        ge=1,
        le=1024,
        title="Slots per node",
        description="Array tasks for each of those nodes.",
    )
    cpus_per_slot: int = Field(
        1,
        ge=1,
        le=1024,
        title="CPUs per slot",
        description="Processors of a slot; it has one mover for each.",
    )
    memory_per_slot: _Memory | None = Field(
        None,
        title="Memory per slot",
        description="Bytes. If a slot runs out of it, the next ones get twice as much.",
    )
    time_limit: _TimeLimit | None = Field(
        None, title="Time limit", description="Seconds. If empty: the partition's."
    )
    end_lead: _Seconds = Field(
        60.0,
        le=65_535,
        title="Lead",
        description="So many seconds before the time limit a slot takes no more work.",
    )
    exclusive: bool = Field(
        False, title="Exclusive", description="Each slot has a node of its own."
    )
    requeue: bool = Field(
        True, title="Requeue", description="Start again after preemption or node loss."
    )
    constraint: str | None = _word("Constraint", "Features that a node must have.")
    exclude: str | None = _word("Excluded nodes", "Such as n1,n[3-5].")
    gres: str | None = _word("Generic resources", "Such as 'nvme:1'.")
    licenses: str | None = _word("Licenses", "Such as 'lustre:1', for each slot.")
    nice: int | None = Field(
        None, ge=-2147483645, le=2147483645, title="Nice", description="Priority."
    )
    comment: str | None = Field(
        None,
        max_length=200,
        pattern=r"^[^\x00\n\r]+$",
        title="Comment",
        description="Shown by squeue.",
    )
    extra: tuple[str, ...] = Field(
        (),
        title="More options",
        description="Other options of sbatch, one each, such as --wckey=nightly.",
    )
    prologue: tuple[str, ...] = Field(
        (),
        title="Prologue",
        description="Lines of shell that run before the slot starts.",
    )
    modules: tuple[str, ...] = Field(
        (),
        title="Modules",
        description="Loaded with 'module load' before the prologue, in this order.",
    )
    container: Container | None = Field(
        None,
        title="Container",
        description="The image in which slots run. If empty: on the node itself.",
    )

    @field_validator("extra")
    @classmethod
    def _check_extra(cls, extra: tuple[str, ...]) -> tuple[str, ...]:
        for line in extra:
            if not _LINE.fullmatch(line):
                raise ValueError(f"{line!r} is no option; write --NAME or --NAME=VALUE")
            name = line[2:].partition("=")[0]
            # sbatch takes any unique beginning of a name, too.
            if any(own.startswith(name) for own in OWN_OPTIONS):
                raise ValueError(
                    f"--{name} is set by Haulage; leave it out, or use its field"
                )
        return extra

    @field_validator("prologue")
    @classmethod
    def _check_prologue(cls, lines: tuple[str, ...]) -> tuple[str, ...]:
        if any("\0" in line or "\n" in line for line in lines):
            raise ValueError("a line of the prologue holds a line break; split it")
        return lines

    @field_validator("modules")
    @classmethod
    def _check_modules(cls, modules: tuple[str, ...]) -> tuple[str, ...]:
        for module in modules:
            if not _MODULE.fullmatch(module):
                raise ValueError(f"{module!r} is not the name of a module")
        return modules

    @model_validator(mode="after")
    def _check_together(self) -> "Slurm":
        if self.exclusive and self.slots_per_node > 1:
            raise ValueError(
                "exclusive gives each slot a node of its own, so that there is one "
                "slot a node; give a slot more CPUs instead"
            )
        least = self.end_lead + _EARLY_S
        if self.time_limit is not None and self.time_limit <= least:
            raise ValueError(
                f"the time limit must be longer than {least:g} s, because slots take "
                f"no more work {self.end_lead:g} s before it, or a minute earlier"
            )
        return self

    @property
    def slots(self) -> int:
        """Return how many slots there are at most."""
        return self.nodes * self.slots_per_node


# A saved launcher, whose place its fields take before a run begins.
Saved = Annotated[
    str,
    Field(
        pattern=r"^haulage-slurm/[a-z0-9-]+$",
        title="Block",
        description="A Prefect block by its name: haulage-slurm/NAME.",
    ),
]


def _kind_of(value: object) -> object:
    if isinstance(value, str):
        return "saved"
    if isinstance(value, Mapping):
        return value.get("kind")
    return getattr(value, "kind", None)


Launcher = Annotated[
    Annotated[Local, Tag("local")]
    | Annotated[Slurm, Tag("slurm")]
    | Annotated[Saved, Tag("saved")],
    Discriminator(
        _kind_of,
        custom_error_type="launcher",
        custom_error_message="kind is local or slurm; a block is haulage-slurm/NAME",
    ),
]
LOCAL = Local()


def any_of(schema: dict[str, Any]) -> None:
    """Offer the kinds as anyOf: Prefect's form shows no oneOf."""
    schema["anyOf"] = schema.pop("oneOf")
