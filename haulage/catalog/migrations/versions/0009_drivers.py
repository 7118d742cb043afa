"""Runs have a number, for clocks tell no order; their driver and place are known."""

import sqlalchemy as sa
from alembic import op

from haulage.catalog.db.column_types import BigId

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_NUMBERED = """
    UPDATE runs SET number = counted.place
    FROM (SELECT id, row_number() OVER (ORDER BY started_at, id) AS place FROM runs)
        AS counted
    WHERE counted.id = runs.id
"""


def upgrade() -> None:
    """Count the runs that there are."""
    number = sa.Column("number", BigId, nullable=False, server_default="0")
    op.add_column("runs", number)
    op.add_column("runs", sa.Column("workspace", sa.String(32)))
    op.add_column("runs", sa.Column("driver_boot", sa.String(40)))
    op.add_column("trashes", sa.Column("over_in", sa.String(40)))
    op.execute(_NUMBERED)
    op.drop_index("ix_runs_dataset_id_started_at", "runs")
    op.create_index("ix_runs_dataset_id_number", "runs", ["dataset_id", "number"])
    op.create_index("ix_runs_number", "runs", ["number"])


def downgrade() -> None:
    """Forget it."""
    op.drop_index("ix_runs_number", "runs")
    op.drop_index("ix_runs_dataset_id_number", "runs")
    op.create_index(
        "ix_runs_dataset_id_started_at", "runs", ["dataset_id", "started_at"]
    )
    op.drop_column("trashes", "over_in")
    for name in ("driver_boot", "workspace", "number"):
        op.drop_column("runs", name)
