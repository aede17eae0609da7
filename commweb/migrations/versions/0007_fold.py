"""Which reports of a course a failed fold has seen."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007_fold"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "commweb_fold",
        sa.Column("tried_id", sa.Integer(), server_default=sa.text("0"), nullable=False),
    )


def downgrade() -> None:
    with op.batch_alter_table("commweb_fold") as batch:
        batch.drop_column("tried_id")
