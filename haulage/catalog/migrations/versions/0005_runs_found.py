"""Find what belongs to a run without reading all of the manifests."""

from alembic import op

revision = "0005"
down_revision = "0004"

_TABLES = ("manifests", "manifest_pages")


def upgrade() -> None:
    """Make the indexes of what refers to runs."""
    for table in _TABLES:
        op.create_index(f"ix_{table}_run_id", table, ["run_id"])


def downgrade() -> None:
    """Drop them."""
    for table in _TABLES:
        op.drop_index(f"ix_{table}_run_id", table)
