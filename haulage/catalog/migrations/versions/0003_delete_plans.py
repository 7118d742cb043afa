"""Keep deletes that wait for a person's approval, and what can be undone."""

from alembic import op
from sqlalchemy import (
    Column,
    ForeignKeyConstraint,
    LargeBinary,
    PrimaryKeyConstraint,
    String,
    UniqueConstraint,
)

from haulage.catalog.columns import BigId, Note, UtcTime

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the plans and their pages, and what is known of the trash."""
    op.create_table(
        "delete_plans",
        Column("id", BigId, nullable=False),
        Column("dataset_id", BigId, nullable=False),
        Column("run_id", String(40), nullable=False),
        Column("manifest_id", BigId, nullable=True),
        Column("entries", BigId, nullable=False),
        Column("content_bytes", BigId, nullable=False),
        Column("reason", Note(), nullable=False),
        Column("state", String(12), nullable=False),
        Column("created_at", UtcTime(), nullable=False),
        Column("decided_by", Note(), nullable=True),
        Column("decided_at", UtcTime(), nullable=True),
        Column("because", Note(), nullable=True),
        Column("apply_run_id", String(40), nullable=True),
        ForeignKeyConstraint(
            ["dataset_id"], ["datasets.id"], name="fk_delete_plans_dataset_id"
        ),
        ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_delete_plans_run_id"),
        PrimaryKeyConstraint("id", name="pk_delete_plans"),
        UniqueConstraint("run_id", name="uq_delete_plans_run_id"),
        UniqueConstraint("apply_run_id", name="uq_delete_plans_apply_run_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_delete_plans_dataset_id", "delete_plans", ["dataset_id"])
    op.create_table(
        "delete_plan_pages",
        Column("plan_id", BigId, nullable=False),
        Column("position", BigId, nullable=False),
        Column("content", LargeBinary(), nullable=False),
        ForeignKeyConstraint(
            ["plan_id"],
            ["delete_plans.id"],
            name="fk_delete_plan_pages_plan_id",
            ondelete="CASCADE",
        ),
        PrimaryKeyConstraint("plan_id", "position", name="pk_delete_plan_pages"),
    )

    _make_trashes()


def _make_trashes() -> None:
    op.create_table(
        "trashes",
        Column("run_id", String(40), nullable=False),
        Column("dataset_id", BigId, nullable=False),
        Column("created_at", UtcTime(), nullable=False),
        Column("keep_s", BigId, nullable=False),
        Column("state", String(12), nullable=False),
        ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_trashes_run_id"),
        ForeignKeyConstraint(
            ["dataset_id"], ["datasets.id"], name="fk_trashes_dataset_id"
        ),
        PrimaryKeyConstraint("run_id", name="pk_trashes"),
    )
    op.create_index("ix_trashes_dataset_id", "trashes", ["dataset_id"])
    op.add_column("tombstones", Column("restored_at", UtcTime(), nullable=True))


def downgrade() -> None:
    """Forget every plan."""
    op.drop_column("tombstones", "restored_at")
    op.drop_table("trashes")
    op.drop_table("delete_plan_pages")
    op.drop_table("delete_plans")
