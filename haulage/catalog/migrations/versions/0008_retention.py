"""Know of a dataset that some of its runs were removed."""

from alembic import op
from sqlalchemy import Boolean, Column, false

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Make room for it; no run was removed before."""
    op.add_column(
        "datasets",
        Column("has_forgotten", Boolean(), nullable=False, server_default=false()),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_column("datasets", "has_forgotten")
