"""What was asked for once stands no more in the policies of datasets."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_ONCE = ("steps", "allow_empty_source", "allow_empty_target")


def upgrade() -> None:
    """Take it out; runs keep it."""
    datasets = sa.table("datasets", sa.column("id"), sa.column("policy", sa.JSON()))
    connection = op.get_bind()
    for number, policy in connection.execute(sa.select(datasets)).all():
        stands = {name: policy[name] for name in policy if name not in _ONCE}
        change = sa.update(datasets).where(datasets.c.id == number)
        connection.execute(change.values(policy=stands))


def downgrade() -> None:
    """Leave it so: what is not there is as by default."""
