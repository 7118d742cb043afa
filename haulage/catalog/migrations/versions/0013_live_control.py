"""What a person wants of a run that goes on, and what its machines do."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Add the columns; empty for every run so far."""
    op.add_column("runs", sa.Column("wanted", sa.JSON))
    op.add_column("runs", sa.Column("nodes", sa.JSON))


def downgrade() -> None:
    """Forget them."""
    op.drop_column("runs", "nodes")
    op.drop_column("runs", "wanted")
