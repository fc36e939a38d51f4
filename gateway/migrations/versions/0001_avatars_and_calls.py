"""Avatars and calls."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "avatars",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("persona", sa.Text, nullable=False),
        sa.Column("voice", sa.String(64), nullable=False),
        sa.Column("is_default", sa.Boolean, nullable=False),
        sa.Column("checks", sa.JSON, nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
    )
    op.create_table(
        "calls",
        sa.Column("room", sa.String(128), primary_key=True),
        sa.Column("avatar_id", sa.String(64), sa.ForeignKey("avatars.id", ondelete="SET NULL")),
        sa.Column("avatar_name", sa.String(80), nullable=False),
        sa.Column("job", sa.Text, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("end_reason", sa.String(32)),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("expires_at", _MOMENT, nullable=False),
        sa.Column("started_at", _MOMENT),
        sa.Column("agent_joined_at", _MOMENT),
        sa.Column("ended_at", _MOMENT),
        sa.Column("callers", sa.Integer, nullable=False),
        sa.Column("dispatches", sa.Integer, nullable=False),
    )
    op.create_index("ix_calls_avatar_id", "calls", ["avatar_id"])
    op.create_index("ix_calls_state", "calls", ["state"])


def downgrade() -> None:
    op.drop_table("calls")
    op.drop_table("avatars")
