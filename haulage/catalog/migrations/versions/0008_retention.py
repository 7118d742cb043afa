"""Know of a dataset that some of its runs were removed, and when results came."""

from alembic import op
from sqlalchemy import Boolean, Column, false

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Make room for it, as no run was removed before, and find old results."""
    op.add_column(
        "datasets",
        Column("has_forgotten", Boolean(), nullable=False, server_default=false()),
    )

    op.create_index("ix_results_stored_at", "results", ["stored_at"])


def downgrade() -> None:
    """Drop both."""
    op.drop_index("ix_results_stored_at", "results")
    op.drop_column("datasets", "has_forgotten")
