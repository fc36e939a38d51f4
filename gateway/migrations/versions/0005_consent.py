"""Consent to the use of a portrait, and when an avatar was last used."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    # Not in a batch: it copies a table on SQLite, and dropping the old one cuts calls from avatars.
    op.add_column("avatars", sa.Column("consent", sa.String(32)))
    op.add_column("avatars", sa.Column("consented_at", _MOMENT))
    some_time = sa.text("'2026-01-01 00:00:00'")
    op.add_column(
        "avatars", sa.Column("used_at", _MOMENT, nullable=False, server_default=some_time)
    )
    # Nobody knows when the avatars of before were used: their time begins now.
    op.execute("UPDATE avatars SET used_at = CURRENT_TIMESTAMP")


def downgrade() -> None:
    for name in ("used_at", "consented_at", "consent"):
        op.drop_column("avatars", name)
