"""Know a page of a manifest again."""

from alembic import op
from sqlalchemy import Column, LargeBinary

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Make room for checksums; the pages that there are have none."""
    checksum = Column("checksum", LargeBinary(16), nullable=True)
    op.add_column("manifest_pages", checksum)


def downgrade() -> None:
    """Drop them."""
    op.drop_column("manifest_pages", "checksum")
