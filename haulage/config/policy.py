"""A dataset, and the policy by which it is kept in sync.

These models are the run form in the Prefect UI, the options of the command line, and
the JSON in the catalog, so that a field is described here and nowhere else.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from haulage.config.launchers import LOCAL, Launcher, any_of
from haulage.config.limits import Guards, Keep, Shards, Size
from haulage.config.patterns import check_rules
from haulage.config.store_options import Form, StoreOptions
from haulage.config.striping import checked_rules
from haulage.config.units import parse_age, parse_preserve
from haulage.model import PRESERVED, Preserve

RECORDED = {"recorded": True}  # the context of what an older version may have taken

Age = Annotated[float, Field(ge=0), BeforeValidator(parse_age)]
Preserved = Annotated[tuple[Preserve, ...], BeforeValidator(parse_preserve)]
Stripe = Annotated[str, BeforeValidator(checked_rules)]


class Compare(StrEnum):
    """Which entries count as changed since the last night."""

    METADATA = "metadata"
    MTIME = "mtime"
    SIZE = "size"
    CHECKSUM = "checksum"
    ALWAYS = "always"


class Verify(StrEnum):
    """How copies are verified."""

    NONE = "none"
    METADATA = "metadata"
    CHECKSUM = "checksum"
    SAMPLE = "sample"


class Delete(StrEnum):
    """What happens to entries that are gone from the source."""

    OFF = "off"
    PLAN = "plan"
    GUARDED = "guarded"


class Fsync(StrEnum):
    """When written data is forced to disk."""

    NONE = "none"
    RUN = "run"
    FILE = "file"


class Step(StrEnum):
    """A step of a run, which can run alone."""

    COPY = "copy"
    DELETE = "delete"
    DIRS = "dirs"


class Filters(Form):
    """Which entries of the source are synced."""

    rules: tuple[str, ...] = Field(
        (),
        title="Include and exclude rules",
        description="One rule a line: '- PATTERN' excludes, '+ PATTERN' includes; "
        "the first that matches decides. *, ?, [a-z], ** as in rsync; /x only at the "
        "root; x/ only directories.",
    )
    min_size: Size | None = Field(
        None, title="Minimum size", description="Bytes; smaller files are left out."
    )
    max_size: Size | None = Field(
        None, title="Maximum size", description="Bytes; larger files are left out."
    )
    min_age: Age | None = Field(
        None,
        title="Minimum age",
        description="Seconds since mtime; newer files are left out.",
    )
    max_age: Age | None = Field(
        None,
        title="Maximum age",
        description="Seconds since mtime; older files are left out.",
    )
    min_atime_age: Age | None = Field(
        None,
        title="Minimum age by atime",
        description="Seconds since the last read; files read later are left out.",
    )
    max_atime_age: Age | None = Field(
        None,
        title="Maximum age by atime",
        description="Seconds since the last read; files not read since then are left "
        "out.",
    )
    one_file_system: bool = Field(
        False,
        title="Stay on one file system",
        description="Do not descend into mount points below the source.",
    )

    @field_validator("rules")
    @classmethod
    def _check(cls, rules: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if info.context is not RECORDED:  # which is refused when it is used
            check_rules(rules)
        return rules


class Policy(Form):
    """How a dataset is kept in sync."""

    filters: Filters = Field(
        Filters(), title="Filters", description="Entries of the source to sync."
    )
    compare: Compare = Field(
        Compare.METADATA,
        title="Compare",
        description="What counts as changed: metadata (size, mtime, ctime, inode), "
        "mtime (with size, for a source whose inode numbers change each night), size "
        "alone, checksum (read every file), or always.",
    )
    verify: Verify = Field(
        Verify.CHECKSUM,
        title="Verify",
        description="How copies are verified: checksum re-reads the target, sample "
        "re-reads some of it, metadata compares sizes, times and owners.",
    )
    preserve: Preserved = Field(
        PRESERVED,
        title="Preserve",
        description="Which attributes of an entry are preserved beside its content. "
        "All others are those of any new file, and are neither compared nor counted as "
        "lost. specials are FIFOs and sockets. Between two directories only.",
    )
    trust_metadata: bool = Field(
        False,
        title="Trust a bucket's metadata",
        description="From a bucket into a directory: apply set-id bits, foreign "
        "owners, and links that lead outside. Anyone who may put an object there can "
        "ask for them, so nobody else may have write access to the bucket.",
    )
    stripe: Stripe = Field(
        "",
        title="Stripes",
        description="Layouts on Lustre: keep, or SIZE=COUNT rules such as "
        "1G=4,64G=16x4M@pool; 0=... for directories. If empty: the target's own.",
    )
    mdts: bool = Field(
        False,
        title="Alternate MDTs",
        description="Create first-level directories on each MDT of Lustre in turn.",
    )
    delete: Delete = Field(
        Delete.OFF,
        title="Delete",
        description="Entries that are gone from the source: off keeps them, plan lists "
        "them, guarded deletes those that Haulage made, within the guards below.",
    )
    share_target: bool = Field(
        False,
        title="Share the target",
        description="Continue although another dataset has this target, or one above "
        "or below it. Neither deletes entries of the other, but each overwrites them.",
    )
    guards: Guards = Field(
        Guards(), title="Delete guards", description="Caps of the delete pass."
    )
    trash: Age | None = Field(
        None,
        title="Trash",
        description="Seconds to keep deleted entries in the target's '.haulage-trash'. "
        "If empty, deletes are final.",
    )
    keep: Keep = Field(
        Keep(), title="Keep", description="How long the catalog keeps runs."
    )
    shards: Shards = Field(Shards(), title="Shards", description="How work is divided.")
    movers: int = Field(
        2,
        ge=1,
        le=1024,
        title="Movers",
        description="Mover processes that run at the same time.",
    )
    launcher: Launcher = Field(
        LOCAL,
        title="Launcher",
        description="Where movers run: on the driver's machine, or as jobs of SLURM.",
        json_schema_extra=any_of,
    )
    listers: int = Field(
        2,
        ge=1,
        le=256,
        title="Listers",
        description="Processes that list the source at the same time.",
    )
    fsync: Fsync = Field(
        Fsync.RUN,
        title="Force to disk",
        description="When written data is forced to disk: once before the manifest is "
        "committed (run), after every file, or never; parts of split files always.",
    )
    sample_share: float = Field(
        0.05, gt=0, le=1, title="Sample", description="Share of files it re-reads."
    )
    attempts: int = Field(
        3,
        ge=1,
        le=20,
        title="Attempts",
        description="Attempts at a shard or an entry with a transient failure.",
    )

    @field_validator("preserve")
    @classmethod
    def _acls_have_their_mode(cls, names: tuple[Preserve, ...]) -> tuple[Preserve, ...]:
        if Preserve.ACLS in names and Preserve.MODE not in names:
            raise ValueError(
                "acls hold the mode, so they cannot be preserved without it; add mode "
                "or leave out acls"
            )
        return names


class Dataset(Form):
    """A recorded source, target and policy."""

    name: str = Field(
        title="Name",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$",
        description="Short and unique; identifies runs, locks and manifests.",
    )
    source: str = Field(
        title="Source",
        min_length=1,
        description="Directory or bucket whose contents are synced: /data/home, "
        "s3://bucket/prefix, gs://bucket, az://container/prefix.",
    )
    target: str = Field(
        title="Target",
        min_length=1,
        description="Directory or bucket prefix that is made equal to the source.",
    )
    source_store: StoreOptions = Field(
        StoreOptions(),
        title="Source store",
        description="How the source is reached, if it is a bucket.",
    )
    target_store: StoreOptions = Field(
        StoreOptions(),
        title="Target store",
        description="How the target is reached, if it is a bucket.",
    )
    policy: Policy = Field(
        Policy(), title="Policy", description="How the dataset is kept in sync."
    )


class OfOneRun(Form):
    """Fields that no recorded policy has: they apply to one run."""

    steps: tuple[Step, ...] = Field(
        tuple(Step),
        min_length=1,
        title="Steps of this run",
        description="Which steps this run takes: copy (with its verification), delete, "
        "and dirs, the final attributes of directories. Given alone, dirs sets those "
        "of all directories.",
    )
    allow_empty_source: bool = Field(
        False,
        title="Allow an empty source, in this run",
        description="Continue although the source is empty and the manifest is not.",
    )
    afresh: bool = Field(
        False, title="Afresh, in this run", description="List the target and compare."
    )
    make_parents: bool = Field(
        False,
        title="Make the target's parents, in this run",
        description="Create missing directories above the target. Without this a run "
        "creates the target alone, because a misspelled path, or one whose file system "
        "is not mounted, looks the same.",
    )


class Once(OfOneRun):
    """Options for one run alone; later runs do not inherit them."""

    compare: Compare | None = Field(
        None,
        title="Compare, in this run",
        description="Overrides the policy.",
    )
    movers: int | None = Field(
        None,
        ge=1,
        le=1024,
        title="Movers of this run",
        description="Overrides the policy.",
    )
    listers: int | None = Field(
        None,
        ge=1,
        le=256,
        title="Listers of this run",
        description="Overrides the policy.",
    )
    take_over: bool = Field(
        False,
        title="Take over, in this run",
        description="Continue although another host drove the previous run and its "
        "heartbeats stopped: its process is known to be dead.",
    )


NOTHING_ONCE = Once()
_AS_IT_STANDS = ("compare", "movers", "listers")  # unless this run has its own


class RunPolicy(Policy, OfOneRun):
    """The policy of one run: its dataset's, and the options for this run alone."""

    @property
    def once(self) -> Once:
        """Return the options that a resumed run inherits from this one."""
        wanted = set(Once.model_fields)
        return Once.model_validate(self.model_dump(include=wanted))


def for_one_run(policy: Policy, once: Once) -> RunPolicy:
    """Return the policy of a run: the recorded `policy` with the options of `once`."""
    fields = policy.model_dump()
    for name, value in once.model_dump(exclude={"take_over"}).items():
        if value is not None or name not in _AS_IT_STANDS:
            fields[name] = value
    return RunPolicy.model_validate(fields, context=RECORDED)
