"""Remember on which run's leaving another one builds, and which have marked theirs."""

from collections.abc import Iterable

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

_RENAMED = (("allow_empty_target", "afresh"),)


def upgrade() -> None:
    """Add both columns, unknown of older runs, and give a word its new name."""
    op.add_column("runs", sa.Column("after_run", sa.String(40), nullable=True))
    marked = sa.Column("marked", sa.Boolean, nullable=False, server_default=sa.false())
    op.add_column("runs", marked)
    _rename(_RENAMED)


def downgrade() -> None:
    """Forget both, and take the old name again."""
    op.drop_column("runs", "marked")
    op.drop_column("runs", "after_run")
    _rename([(new, old) for old, new in _RENAMED])


def _rename(names: Iterable[tuple[str, str]]) -> None:
    runs = sa.table("runs", sa.column("id"), sa.column("policy", sa.JSON()))
    connection = op.get_bind()
    for number, policy in connection.execute(sa.select(runs)).all():
        renamed = {new: policy.pop(old) for old, new in names if old in policy}
        if renamed:
            change = sa.update(runs).where(runs.c.id == number)
            connection.execute(change.values(policy=policy | renamed))
