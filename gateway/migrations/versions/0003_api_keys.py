"""API keys, and who made which avatar and call."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("scopes", sa.JSON, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False, unique=True),
        sa.Column("parent", sa.String(32), sa.ForeignKey("api_keys.id", ondelete="CASCADE")),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True)),
    )
    op.add_column("avatars", sa.Column("owner", sa.String(32)))
    op.add_column("calls", sa.Column("owner", sa.String(32)))


def downgrade() -> None:
    op.drop_column("calls", "owner")
    op.drop_column("avatars", "owner")
    op.drop_table("api_keys")
