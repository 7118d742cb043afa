"""Keep what is known of deletes that can be undone."""

from alembic import op
from sqlalchemy import Column, ForeignKeyConstraint, PrimaryKeyConstraint, String

from haulage.catalog.db.column_types import BigId, UtcTime

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make the trashes, and room for when an entry was brought back."""
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
    """Forget every trash; what is in one stays there."""
    op.drop_column("tombstones", "restored_at")
    op.drop_table("trashes")
