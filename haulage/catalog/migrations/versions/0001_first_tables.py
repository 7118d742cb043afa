"""Make the first tables."""

from alembic import op
from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    ForeignKeyConstraint,
    LargeBinary,
    PrimaryKeyConstraint,
    String,
    UniqueConstraint,
    text,
)

from haulage.catalog.db.column_types import BigId, Note, UtcTime

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make every table."""
    _make_datasets()
    _make_runs()
    _make_shards()
    _make_attempts()
    _make_manifests()
    _make_page_list()
    _make_reports()
    _make_logs()
    if op.get_bind().dialect.name == "postgresql":
        # Pages are compressed already: a second try costs time and saves nothing.
        op.execute("ALTER TABLE manifest_pages ALTER content SET STORAGE EXTERNAL")


def _make_datasets() -> None:
    op.create_table(
        "catalog_info",
        Column("key", String(40), nullable=False),
        Column("value", String(200), nullable=False),
        PrimaryKeyConstraint("key", name="pk_catalog_info"),
    )
    op.create_table(
        "datasets",
        Column("id", BigId, nullable=False),
        Column("name", String(100), nullable=False),
        Column("source", String(), nullable=False),
        Column("target", String(), nullable=False),
        Column("policy", JSON(), nullable=False),
        Column("manifest_id", BigId, nullable=True),
        Column("created_at", UtcTime(), nullable=False),
        PrimaryKeyConstraint("id", name="pk_datasets"),
        UniqueConstraint("name", name="uq_datasets_name"),
    )


def _make_runs() -> None:
    op.create_table(
        "runs",
        Column("id", String(40), nullable=False),
        Column("dataset_id", BigId, nullable=False),
        Column("token", String(32), nullable=False),
        Column("temp_token", String(12), nullable=False),
        Column("state", String(12), nullable=False),
        Column("trigger", Note(), nullable=False),
        Column("flow_run_id", String(100), nullable=True),
        Column("base_manifest_id", BigId, nullable=True),
        Column("manifest_id", BigId, nullable=True),
        Column("policy", JSON(), nullable=False),
        Column("driver_host", String(400), nullable=False),
        Column("driver_pid", BigId, nullable=False),
        Column("driver_pid_started", BigId, nullable=False),
        Column("started_at", UtcTime(), nullable=False),
        Column("heartbeat_at", UtcTime(), nullable=False),
        Column("ended_at", UtcTime(), nullable=True),
        Column("listed_until", LargeBinary(), nullable=True),
        Column("discovered", Boolean(), nullable=False),
        Column("counts", JSON(), nullable=False),
        Column("live_counts", JSON(), nullable=False),
        Column("summary", JSON(none_as_null=True), nullable=True),
        ForeignKeyConstraint(
            ["dataset_id"], ["datasets.id"], name="fk_runs_dataset_id"
        ),
        PrimaryKeyConstraint("id", name="pk_runs"),
    )
    op.create_index(
        "ix_runs_dataset_id_started_at", "runs", ["dataset_id", "started_at"]
    )
    op.create_index("ix_runs_flow_run_id", "runs", ["flow_run_id"])
    op.create_index(
        "uq_runs_active",
        "runs",
        ["dataset_id"],
        unique=True,
        sqlite_where=text("state = 'active'"),
        postgresql_where=text("state = 'active'"),
    )


def _make_shards() -> None:
    op.create_table(
        "shards",
        Column("id", BigId, nullable=False),
        Column("run_id", String(40), nullable=False),
        Column("pass", String(12), nullable=False),
        Column("round", BigId, nullable=False),
        Column("seq", BigId, nullable=False),
        Column("wave", BigId, nullable=False),
        Column("file", String(), nullable=False),
        Column("entries", BigId, nullable=False),
        Column("bytes", BigId, nullable=False),
        Column("first", LargeBinary(), nullable=False),
        Column("last", LargeBinary(), nullable=False),
        Column("state", String(12), nullable=False),
        Column("token", String(12), nullable=True),
        Column("attempts", BigId, nullable=False),
        Column("outcome", String(), nullable=True),
        Column("tally", JSON(), nullable=False),
        ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_shards_run_id"),
        PrimaryKeyConstraint("id", name="pk_shards"),
        UniqueConstraint(
            "run_id", "pass", "round", "seq", name="uq_shards_run_id_pass_round_seq"
        ),
    )


def _make_attempts() -> None:
    op.create_table(
        "attempts",
        Column("id", BigId, nullable=False),
        Column("shard_id", BigId, nullable=False),
        Column("number", BigId, nullable=False),
        Column("token", String(12), nullable=False),
        Column("state", String(12), nullable=False),
        Column("place", Note(), nullable=False),
        Column("error", Note(), nullable=True),
        Column("started_at", UtcTime(), nullable=False),
        Column("ended_at", UtcTime(), nullable=True),
        ForeignKeyConstraint(["shard_id"], ["shards.id"], name="fk_attempts_shard_id"),
        PrimaryKeyConstraint("id", name="pk_attempts"),
        UniqueConstraint("shard_id", "number", name="uq_attempts_shard_id_number"),
    )


def _make_manifests() -> None:
    op.create_table(
        "manifests",
        Column("id", BigId, nullable=False),
        Column("dataset_id", BigId, nullable=False),
        Column("run_id", String(40), nullable=False),
        Column("created_at", UtcTime(), nullable=False),
        Column("entries", BigId, nullable=False),
        Column("content_bytes", BigId, nullable=False),
        ForeignKeyConstraint(
            ["dataset_id"], ["datasets.id"], name="fk_manifests_dataset_id"
        ),
        ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_manifests_run_id"),
        PrimaryKeyConstraint("id", name="pk_manifests"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_manifests_dataset_id", "manifests", ["dataset_id"])
    op.create_table(
        "manifest_pages",
        Column("id", BigId, nullable=False),
        Column("dataset_id", BigId, nullable=False),
        Column("run_id", String(40), nullable=False),
        Column("first", LargeBinary(), nullable=False),
        Column("last", LargeBinary(), nullable=False),
        Column("entries", BigId, nullable=False),
        Column("content_bytes", BigId, nullable=False),
        Column("stored_bytes", BigId, nullable=False),
        Column("content", LargeBinary(), nullable=False),
        ForeignKeyConstraint(
            ["dataset_id"], ["datasets.id"], name="fk_manifest_pages_dataset_id"
        ),
        ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_manifest_pages_run_id"),
        PrimaryKeyConstraint("id", name="pk_manifest_pages"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_manifest_pages_dataset_id", "manifest_pages", ["dataset_id"])


def _make_page_list() -> None:
    op.create_table(
        "manifest_page_list",
        Column("manifest_id", BigId, nullable=False),
        Column("position", BigId, nullable=False),
        Column("page_id", BigId, nullable=False),
        ForeignKeyConstraint(
            ["manifest_id"],
            ["manifests.id"],
            name="fk_manifest_page_list_manifest_id",
            ondelete="CASCADE",
        ),
        ForeignKeyConstraint(
            ["page_id"], ["manifest_pages.id"], name="fk_manifest_page_list_page_id"
        ),
        PrimaryKeyConstraint("manifest_id", "position", name="pk_manifest_page_list"),
    )
    op.create_index("ix_manifest_page_list_page_id", "manifest_page_list", ["page_id"])


def _make_reports() -> None:
    op.create_table(
        "failures",
        Column("id", BigId, nullable=False),
        Column("run_id", String(40), nullable=False),
        Column("path", LargeBinary(), nullable=False),
        Column("verb", String(20), nullable=False),
        Column("status", String(20), nullable=False),
        Column("error_class", String(60), nullable=False),
        Column("errno", BigId, nullable=False),
        Column("reason", Note(), nullable=False),
        ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_failures_run_id"),
        PrimaryKeyConstraint("id", name="pk_failures"),
    )
    op.create_index("ix_failures_run_id", "failures", ["run_id"])
    op.create_table(
        "tombstones",
        Column("run_id", String(40), nullable=False),
        Column("path_hash", LargeBinary(16), nullable=False),
        Column("path", LargeBinary(), nullable=False),
        Column("kind", BigId, nullable=False),
        Column("size", BigId, nullable=False),
        Column("approved_by", Note(), nullable=False),
        Column("deleted_at", UtcTime(), nullable=False),
        ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_tombstones_run_id"),
        PrimaryKeyConstraint("run_id", "path_hash", name="pk_tombstones"),
    )


def _make_logs() -> None:
    op.create_table(
        "events",
        Column("id", BigId, nullable=False),
        Column("run_id", String(40), nullable=True),
        Column("at", UtcTime(), nullable=False),
        Column("what", Note(), nullable=False),
        Column("who", Note(), nullable=True),
        Column("detail", JSON(), nullable=False),
        ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_events_run_id"),
        PrimaryKeyConstraint("id", name="pk_events"),
    )
    op.create_index("ix_events_run_id", "events", ["run_id"])
    op.create_table(
        "results",
        Column("key", String(400), nullable=False),
        Column("content", LargeBinary(), nullable=False),
        Column("stored_at", UtcTime(), nullable=False),
        PrimaryKeyConstraint("key", name="pk_results"),
    )
