"""Uploads, the entries that use them, and when an entry changed that nobody edited"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "media",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.String(length=32, collation="C"), nullable=False),
        sa.Column("owner_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("mime_type", sa.String(length=100), nullable=False),
        sa.Column("extension", sa.String(length=8), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("file_name", sa.String(length=255), nullable=False),
        sa.Column("thumbnail", sa.String(length=8), server_default=sa.text("'none'"), nullable=False),
        sa.Column("used", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.Column("ready_at", MOMENT, nullable=True),
        sa.Column("look_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    unused = sa.text("NOT used")
    op.create_index("media_unused", "media", ["owner_id", "created_at"], postgresql_where=unused)
    op.create_index("media_unused_by_age", "media", ["created_at"], postgresql_where=unused)
    op.create_index("media_owing", "media", ["look_at"], postgresql_where=sa.text("look_at IS NOT NULL"))
    op.create_table(
        "media_uses",
        sa.Column("media_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("conversation_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("media_id", "conversation_id", "seq"),
    )
    op.create_index("media_uses_entry", "media_uses", ["conversation_id", "seq"])
    op.add_column("entries", sa.Column("changed_at", MOMENT, nullable=True))
    op.drop_index("entries_changed", "entries")
    changed = sa.text("changed_at IS NOT NULL")
    op.create_index("entries_changed", "entries", ["conversation_id", "change"], postgresql_where=changed)


def downgrade() -> None:
    op.drop_index("entries_changed", "entries")
    op.drop_column("entries", "changed_at")
    changed = sa.text("edited_at IS NOT NULL OR recalled_at IS NOT NULL")
    op.create_index("entries_changed", "entries", ["conversation_id", "change"], postgresql_where=changed)
    op.drop_table("media_uses")
    op.drop_table("media")
