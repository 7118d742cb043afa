"""Remember where a target really is, so that others can tell whether they overlap."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Add the column; the next run of each dataset fills it in."""
    op.add_column("datasets", sa.Column("target_resolved", sa.LargeBinary))


def downgrade() -> None:
    """Forget it."""
    op.drop_column("datasets", "target_resolved")
