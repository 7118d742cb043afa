"""A root that begins with two slashes is the same as with one."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Spell roots in the one way in which they are given from now on."""
    for end in ("source", "target"):
        op.execute(
            sa.text(
                f"UPDATE datasets SET {end} = '/' || ltrim({end}, '/') "  # noqa: S608
                f"WHERE {end} LIKE '//%'"
            )
        )


def downgrade() -> None:
    """Leave it so: it is the same place."""
