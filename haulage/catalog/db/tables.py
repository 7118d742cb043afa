"""The tables. Paths are bytes and in no index, because Postgres limits index rows."""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    String,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from haulage.catalog.db.column_types import BigId, DatabaseNow, Note, UtcTime

RawPath = bytes  # where a column of the same class is named `bytes`

_NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}

# An id that was pruned must never come back with other entries behind it.
_NEVER_REUSED = {"sqlite_autoincrement": True}


class Base(DeclarativeBase):
    """Maps the Python types of the columns to the types that both databases share."""

    metadata = MetaData(naming_convention=_NAMES)
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        int: BigId,
        bytes: LargeBinary,
        datetime: UtcTime,
        dict[str, int]: JSON,
        dict[str, object]: JSON,
    }


class CatalogInfo(Base):
    """Facts about the catalog itself: the machine that a SQLite file belongs to."""

    __tablename__ = "catalog_info"

    key: Mapped[str] = mapped_column(String(40), primary_key=True)
    value: Mapped[str] = mapped_column(String(200))


class DatasetTable(Base):
    """A recorded source, target and policy."""

    __tablename__ = "datasets"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(100), unique=True)
    source: Mapped[str]
    target: Mapped[str]
    policy: Mapped[dict[str, object]]
    source_store: Mapped[dict[str, object]] = mapped_column(server_default="{}")
    target_store: Mapped[dict[str, object]] = mapped_column(server_default="{}")
    # A directory's path without links, when its last run began; it may be any bytes.
    target_resolved: Mapped[bytes | None]
    # Manifests point here too, and SQLite cannot close a ring of foreign keys later.
    manifest_id: Mapped[int | None]
    # Earlier runs were removed, so that what they did is not to be told from them.
    has_forgotten: Mapped[bool] = mapped_column(default=False, server_default=false())
    created_at: Mapped[datetime] = mapped_column(default=DatabaseNow())


class RunTable(Base):
    """One run of a dataset."""

    __tablename__ = "runs"
    __table_args__ = (
        Index(
            "uq_runs_active",
            "dataset_id",
            unique=True,
            sqlite_where=text("state = 'active'"),
            postgresql_where=text("state = 'active'"),
        ),
        Index("ix_runs_dataset_id_number", "dataset_id", "number"),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    # Their order, which no clock tells; runs of one dataset never share a number.
    number: Mapped[int] = mapped_column(index=True, server_default="0")
    dataset_id: Mapped[int] = mapped_column(ForeignKey("datasets.id"))
    token: Mapped[str] = mapped_column(String(32))
    temp_token: Mapped[str] = mapped_column(String(12))
    state: Mapped[str] = mapped_column(String(12))
    trigger: Mapped[str] = mapped_column(Note)
    flow_run_id: Mapped[str | None] = mapped_column(String(100), index=True)
    # A manifest may be pruned while the run that knew it stays, so no foreign keys.
    base_manifest_id: Mapped[int | None]
    manifest_id: Mapped[int | None]
    after_run: Mapped[str | None] = mapped_column(String(40))  # that left the target
    marked: Mapped[bool] = mapped_column(default=False, server_default=false())
    policy: Mapped[dict[str, object]]
    driver_host: Mapped[str] = mapped_column(String(400))
    driver_pid: Mapped[int]
    driver_pid_started: Mapped[int]
    driver_boot: Mapped[str | None] = mapped_column(String(40))
    workspace: Mapped[str | None] = mapped_column(String(32))  # that it was made in
    started_at: Mapped[datetime] = mapped_column(default=DatabaseNow())
    heartbeat_at: Mapped[datetime] = mapped_column(default=DatabaseNow())
    ended_at: Mapped[datetime | None]
    listed_until: Mapped[bytes | None]
    discovered: Mapped[bool] = mapped_column(default=False)
    counts: Mapped[dict[str, int]] = mapped_column(default=dict)  # as last sealed
    live_counts: Mapped[dict[str, int]] = mapped_column(default=dict)
    summary: Mapped[dict[str, object] | None] = mapped_column(JSON(none_as_null=True))
    wanted: Mapped[dict[str, object] | None] = mapped_column(JSON(none_as_null=True))
    nodes: Mapped[list[dict[str, object]] | None] = mapped_column(
        JSON(none_as_null=True)
    )


class ShardTable(Base):
    """Bounded work of one pass; `token` is the attempt's that may finish it."""

    __tablename__ = "shards"
    __table_args__ = (UniqueConstraint("run_id", "pass", "round", "seq"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"))
    pass_: Mapped[str] = mapped_column("pass", String(12))
    round: Mapped[int]
    seq: Mapped[int]
    wave: Mapped[int]
    file: Mapped[str]
    entries: Mapped[int]
    bytes: Mapped[int]
    first: Mapped[RawPath] = mapped_column(LargeBinary)
    last: Mapped[RawPath] = mapped_column(LargeBinary)
    state: Mapped[str] = mapped_column(String(12))
    token: Mapped[str | None] = mapped_column(String(12))
    attempts: Mapped[int] = mapped_column(default=0)
    outcome: Mapped[str | None]
    tally: Mapped[dict[str, int]] = mapped_column(default=dict)


class AttemptTable(Base):
    """One attempt at a shard: running, done or lost."""

    __tablename__ = "attempts"
    __table_args__ = (UniqueConstraint("shard_id", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    shard_id: Mapped[int] = mapped_column(ForeignKey("shards.id"))
    number: Mapped[int]
    token: Mapped[str] = mapped_column(String(12))
    state: Mapped[str] = mapped_column(String(12))
    place: Mapped[str] = mapped_column(Note)
    error: Mapped[str | None] = mapped_column(Note)
    started_at: Mapped[datetime] = mapped_column(default=DatabaseNow())
    ended_at: Mapped[datetime | None]


class ManifestTable(Base):
    """One version of what a dataset's target holds."""

    __tablename__ = "manifests"
    __table_args__ = _NEVER_REUSED

    id: Mapped[int] = mapped_column(primary_key=True)
    dataset_id: Mapped[int] = mapped_column(ForeignKey("datasets.id"), index=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), index=True)
    created_at: Mapped[datetime] = mapped_column(default=DatabaseNow())
    entries: Mapped[int]
    content_bytes: Mapped[int]


class PageTable(Base):
    """Entries in canonical order, written once and shared by versions."""

    __tablename__ = "manifest_pages"
    __table_args__ = _NEVER_REUSED

    id: Mapped[int] = mapped_column(primary_key=True)
    dataset_id: Mapped[int] = mapped_column(ForeignKey("datasets.id"), index=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), index=True)
    first: Mapped[bytes]
    last: Mapped[bytes]
    entries: Mapped[int]
    content_bytes: Mapped[int]
    stored_bytes: Mapped[int]
    content: Mapped[bytes]
    checksum: Mapped[bytes | None] = mapped_column(LargeBinary(16))


class ManifestPageTable(Base):
    """Which pages make up a version, in order."""

    __tablename__ = "manifest_page_list"

    manifest_id: Mapped[int] = mapped_column(
        ForeignKey("manifests.id", ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int] = mapped_column(primary_key=True)
    page_id: Mapped[int] = mapped_column(ForeignKey("manifest_pages.id"), index=True)


class FailureTable(Base):
    """An entry that a run failed to do."""

    __tablename__ = "failures"

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), index=True)
    path: Mapped[bytes]
    verb: Mapped[str] = mapped_column(String(20))
    status: Mapped[str] = mapped_column(String(20))
    error_class: Mapped[str] = mapped_column(String(60))
    errno: Mapped[int]
    reason: Mapped[str] = mapped_column(Note)


class TombstoneTable(Base):
    """An entry that a run deleted, and who approved it."""

    __tablename__ = "tombstones"

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    path_hash: Mapped[bytes] = mapped_column(LargeBinary(16), primary_key=True)
    path: Mapped[bytes]
    kind: Mapped[int]
    size: Mapped[int]
    approved_by: Mapped[str] = mapped_column(Note)
    deleted_at: Mapped[datetime] = mapped_column(default=DatabaseNow())
    restored_at: Mapped[datetime | None]  # from the run's trash


class TrashTable(Base):
    """The trash of a run."""

    __tablename__ = "trashes"

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    dataset_id: Mapped[int] = mapped_column(ForeignKey("datasets.id"), index=True)
    created_at: Mapped[datetime] = mapped_column(default=DatabaseNow())
    keep_s: Mapped[int]
    over_in: Mapped[str | None] = mapped_column(String(40))  # the run that saw it over
    state: Mapped[str] = mapped_column(String(12))


class DeletePlanTable(Base):
    """Deletes that wait for a person's approval."""

    __tablename__ = "delete_plans"
    __table_args__ = _NEVER_REUSED

    id: Mapped[int] = mapped_column(primary_key=True)
    dataset_id: Mapped[int] = mapped_column(ForeignKey("datasets.id"), index=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), unique=True)
    manifest_id: Mapped[int | None]
    entries: Mapped[int]
    content_bytes: Mapped[int]
    reason: Mapped[str] = mapped_column(Note)
    state: Mapped[str] = mapped_column(String(12))
    created_at: Mapped[datetime] = mapped_column(default=DatabaseNow())
    decided_by: Mapped[str | None] = mapped_column(Note)
    decided_at: Mapped[datetime | None]
    because: Mapped[str | None] = mapped_column(Note)
    apply_run_id: Mapped[str | None] = mapped_column(String(40), unique=True)


class DeletePlanPageTable(Base):
    """Manifest entries of a plan; removed when the plan is decided."""

    __tablename__ = "delete_plan_pages"

    plan_id: Mapped[int] = mapped_column(
        ForeignKey("delete_plans.id", ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int] = mapped_column(primary_key=True)
    content: Mapped[bytes]


class EventTable(Base):
    """Who did what, when."""

    __tablename__ = "events"

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[str | None] = mapped_column(ForeignKey("runs.id"), index=True)
    at: Mapped[datetime] = mapped_column(default=DatabaseNow())
    what: Mapped[str] = mapped_column(Note)
    who: Mapped[str | None] = mapped_column(Note)
    detail: Mapped[dict[str, object]]


class ResultTable(Base):
    """A flow's return value, by key."""

    __tablename__ = "results"

    key: Mapped[str] = mapped_column(String(400), primary_key=True)
    content: Mapped[bytes]
    stored_at: Mapped[datetime] = mapped_column(default=DatabaseNow(), index=True)
