"""Limits of a policy: of a shard, of deletes, and of what the catalog keeps."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from haulage.config.store_options import Form
from haulage.config.units import parse_size

Size = Annotated[int, Field(ge=0), BeforeValidator(parse_size)]
_ShardSize = Annotated[int, Field(ge=1 << 16), BeforeValidator(parse_size)]


class Shards(Form):
    """How the work is divided. A shard is closed when one of its bounds is reached."""

    max_entries: int = Field(
        5000,
        ge=1,
        title="Entries a shard",
        description="Close a shard at this many entries.",
    )
    max_bytes: _ShardSize = Field(
        1 << 30,
        title="Bytes a shard",
        description="Close a shard at this many bytes. A larger file is split into "
        "parts of this size (16 MiB at least, larger ones if there would be "
        "hundreds), which several movers copy.",
    )


class Guards(Form):
    """Caps on deletes, checked before the first entry is removed."""

    max_count: int = Field(
        100_000,
        ge=0,
        title="Most entries",
        description="Never remove more entries than this.",
    )
    max_share: float = Field(
        0.5,
        ge=0,
        le=1,
        title="Largest share",
        description="Never remove more than this share of the manifest's entries.",
    )
    max_bytes: Size | None = Field(
        None, title="Most bytes", description="Never remove more bytes than this."
    )


class Keep(Form):
    """How long the catalog keeps runs."""

    days: int = Field(
        180,
        ge=1,
        title="Days",
        description="Forget runs that began more days ago, with all their records.",
    )
    runs: int = Field(
        60,
        ge=1,
        title="Runs",
        description="Never forget this many of the newest runs of the dataset.",
    )
