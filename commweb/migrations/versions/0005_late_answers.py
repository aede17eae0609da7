"""Until when a request whose answer never came may still be worked."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("commweb_room", sa.Column("unsure_until", sa.DateTime(), nullable=True))


def downgrade() -> None:
    op.drop_column("commweb_room", "unsure_until")
