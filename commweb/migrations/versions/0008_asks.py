"""Who can come into a room and read it, and which accounts commweb locked."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008_asks"
down_revision = "0007_fold"
branch_labels = None
depends_on = None

ACCOUNT = (
    ("locked_at", sa.DateTime(), None),
    ("lock_asked", sa.Boolean(), sa.false()),
    ("lock_until", sa.DateTime(), None),
)


def upgrade() -> None:
    op.add_column(
        "commweb_room",
        sa.Column("access", sa.JSON(), server_default=sa.text("'{}'"), nullable=False),
    )
    for name, kind, default in ACCOUNT:
        column = sa.Column(name, kind, server_default=default, nullable=default is None)
        op.add_column("commweb_account", column)


def downgrade() -> None:
    for name, _kind, _default in ACCOUNT:
        op.drop_column("commweb_account", name)
    op.drop_column("commweb_room", "access")
