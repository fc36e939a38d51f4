"""The conversation of a call that is on."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("calls", sa.Column("conversation", sa.Text))


def downgrade() -> None:
    op.drop_column("calls", "conversation")
