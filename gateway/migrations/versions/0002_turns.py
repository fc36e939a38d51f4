"""Turns, with the trace of each."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "turns",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column(
            "room", sa.String(128), sa.ForeignKey("calls.room", ondelete="CASCADE"), nullable=False
        ),
        sa.Column("turn", sa.Integer, nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("voice_end_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("voice_to_voice_ms", sa.Float),
        sa.Column("voice_to_face_ms", sa.Float),
        sa.Column("record", sa.JSON, nullable=False),
        sa.UniqueConstraint("room", "turn", "epoch"),
    )
    op.create_index("ix_turns_voice_end_at", "turns", ["voice_end_at"])


def downgrade() -> None:
    op.drop_table("turns")
