"""Keep deletes that wait for a person's approval."""

from alembic import op
from sqlalchemy import (
    Column,
    ForeignKeyConstraint,
    LargeBinary,
    PrimaryKeyConstraint,
    String,
    UniqueConstraint,
)

from haulage.catalog.db.column_types import BigId, Note, UtcTime

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the plans and their pages."""
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


def downgrade() -> None:
    """Forget every plan."""
    op.drop_table("delete_plan_pages")
    op.drop_table("delete_plans")
