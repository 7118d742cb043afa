"""Remember how the buckets of a dataset are reached."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add one column of options for each end."""
    for end in ("source_store", "target_store"):
        column = sa.Column(end, sa.JSON(), nullable=False, server_default="{}")
        op.add_column("datasets", column)


def downgrade() -> None:
    """Forget them."""
    for end in ("source_store", "target_store"):
        op.drop_column("datasets", end)
