"""The tables. What is written once per message stands in narrow rows of its own; everything else is ordinary.

Numbers of a conversation (`seq`, `count`, `change`) and positions of its members follow docs/protocol.md. No foreign
keys point at the entries, so that the table can be partitioned by conversation.
"""

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from chat.extensions import Base

__all__ = [
    "Conversation",
    "ConversationHead",
    "Deployment",
    "Entry",
    "IdempotentAnswer",
    "Login",
    "Media",
    "MediaUse",
    "Membership",
    "Ticket",
    "User",
    "UserHead",
]

Moment = DateTime(timezone=True)
ZERO = text("0")


class Deployment(Base):
    """One row: what this database is. `generation` changes when it is restored; cursors of before are in doubt."""

    __tablename__ = "deployment"
    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, server_default=text("1"))
    generation: Mapped[str] = mapped_column(String(32))
    __table_args__ = (CheckConstraint("id = 1", name="deployment_is_one_row"),)


class User(Base):
    """A person. `public_id` is the id on the wire: `u…`, or the host application's own.

    `username_key` and `name_key` are username and name without regard to case and form, to be compared byte by byte.
    """

    __tablename__ = "users"
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    public_id: Mapped[str] = mapped_column(String(64), unique=True)
    username: Mapped[str | None] = mapped_column(String(64))
    username_key: Mapped[str | None] = mapped_column(String(200, collation="C"), unique=True)
    password_hash: Mapped[str | None] = mapped_column(Text)
    name: Mapped[str] = mapped_column(String(64))
    name_key: Mapped[str] = mapped_column(String(200, collation="C"), server_default=text("''"))
    avatar: Mapped[str | None] = mapped_column(Text)
    status_text: Mapped[str | None] = mapped_column(String(200))
    shows_presence: Mapped[bool] = mapped_column(Boolean, server_default=text("true"))
    sends_receipts: Mapped[bool] = mapped_column(Boolean, server_default=text("true"))
    listed: Mapped[bool] = mapped_column(Boolean, server_default=text("true"))
    created_at: Mapped[datetime] = mapped_column(Moment, server_default=func.now())
    last_seen_at: Mapped[datetime | None] = mapped_column(Moment)
    __table_args__ = (Index("users_by_name", "name_key", "id", postgresql_where=text("listed")),)


class UserHead(Base):
    """The narrow hot row of a user: `change` counts what concerns only them, `touched` is its time in 8 s."""

    __tablename__ = "user_heads"
    user_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    change: Mapped[int] = mapped_column(BigInteger, server_default=ZERO)
    touched: Mapped[int] = mapped_column(Integer, server_default=ZERO, index=True)
    __table_args__ = ({"postgresql_with": {"fillfactor": 70}},)


class Login(Base):
    """A device: a refresh family, a 30-day token, or a host application's token. `gone_at`: all before it was taken."""

    __tablename__ = "logins"
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    user_id: Mapped[int] = mapped_column(BigInteger, index=True)
    kind: Mapped[str] = mapped_column(String(8))
    name: Mapped[str] = mapped_column(String(100), server_default=text("''"))
    external_key: Mapped[str | None] = mapped_column(String(128), unique=True)
    refresh_digest: Mapped[bytes | None] = mapped_column(LargeBinary(32), unique=True)
    refresh_count: Mapped[int] = mapped_column(Integer, server_default=ZERO)
    created_at: Mapped[datetime] = mapped_column(Moment, server_default=func.now())
    used_at: Mapped[datetime] = mapped_column(Moment, server_default=func.now())
    expires_at: Mapped[datetime] = mapped_column(Moment)
    ended_at: Mapped[datetime | None] = mapped_column(Moment)
    gone_at: Mapped[datetime | None] = mapped_column(Moment)
    __table_args__ = (Index("logins_ended", "ended_at", postgresql_where=text("ended_at IS NOT NULL")),)


class Ticket(Base):
    """A WebSocket ticket not used yet: using it takes the row away. What a crash of the database empties is safe."""

    __tablename__ = "tickets"
    digest: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    login_id: Mapped[int] = mapped_column(BigInteger)
    expires_at: Mapped[datetime] = mapped_column(Moment, index=True)
    __table_args__ = ({"prefixes": ["UNLOGGED"]},)


class Conversation(Base):
    """What seldom changes of a conversation. A private one has its users' numbers `low`, `high` (equal: own notes)."""

    __tablename__ = "conversations"
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    kind: Mapped[str] = mapped_column(String(8))
    low: Mapped[int | None] = mapped_column(BigInteger)
    high: Mapped[int | None] = mapped_column(BigInteger)
    name: Mapped[str | None] = mapped_column(String(100))
    avatar: Mapped[str | None] = mapped_column(Text)
    creator_id: Mapped[int | None] = mapped_column(BigInteger)
    history: Mapped[str] = mapped_column(String(8), server_default=text("'joined'"))
    joining: Mapped[str] = mapped_column(String(8), server_default=text("'invited'"))
    listed: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    created_at: Mapped[datetime] = mapped_column(Moment, server_default=func.now())
    deleted_at: Mapped[datetime | None] = mapped_column(Moment)
    __table_args__ = (
        UniqueConstraint("low", "high", name="conversations_pair"),
        Index("conversations_listed", "id", postgresql_where=text("listed AND deleted_at IS NULL")),
    )


class ConversationHead(Base):
    """The narrow hot row of a conversation. `touched`: its last change in 8 s, so that an index on it stays quiet."""

    __tablename__ = "conversation_heads"
    conversation_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    last_seq: Mapped[int] = mapped_column(BigInteger, server_default=ZERO)
    last_count: Mapped[int] = mapped_column(BigInteger, server_default=ZERO)
    last_recalled_seq: Mapped[int] = mapped_column(BigInteger, server_default=ZERO)
    change: Mapped[int] = mapped_column(BigInteger, server_default=ZERO)
    members_version: Mapped[int] = mapped_column(BigInteger, server_default=ZERO)
    member_count: Mapped[int] = mapped_column(Integer, server_default=ZERO)
    first_seq: Mapped[int] = mapped_column(BigInteger, server_default=ZERO)
    first_count: Mapped[int] = mapped_column(BigInteger, server_default=ZERO)
    last_at: Mapped[datetime] = mapped_column(Moment, server_default=func.now())
    touched: Mapped[int] = mapped_column(Integer, server_default=ZERO, index=True)
    __table_args__ = ({"postgresql_with": {"fillfactor": 50}},)


class Membership(Base):
    """A member and their positions: always read ≤ delivered ≤ last. `own_count`: own messages after `read_seq`.

    A member sees entries with `seq > visible_from`, and none at all once `left_seq` is set (to their leave notice).
    `hidden_seq`: not in the member's list until something follows that entry.
    """

    __tablename__ = "memberships"
    conversation_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    user_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    role: Mapped[str] = mapped_column(String(8), server_default=text("'member'"))
    delivered_seq: Mapped[int] = mapped_column(BigInteger, server_default=ZERO)
    read_seq: Mapped[int] = mapped_column(BigInteger, server_default=ZERO)
    read_count: Mapped[int] = mapped_column(BigInteger, server_default=ZERO)
    own_count: Mapped[int] = mapped_column(BigInteger, server_default=ZERO)
    visible_from: Mapped[int] = mapped_column(BigInteger, server_default=ZERO)
    left_seq: Mapped[int | None] = mapped_column(BigInteger)
    away: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    muted_until: Mapped[datetime | None] = mapped_column(Moment)
    pinned_at: Mapped[datetime | None] = mapped_column(Moment)
    quiet: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    hidden_seq: Mapped[int | None] = mapped_column(BigInteger)
    joined_at: Mapped[datetime] = mapped_column(Moment, server_default=func.now())
    moved_at: Mapped[datetime | None] = mapped_column(Moment)
    __table_args__ = (Index("memberships_user", "user_id", "conversation_id"), {"postgresql_with": {"fillfactor": 70}})


class Entry(Base):
    """A numbered row: a message, or a notice (`type` system). `body`: its other fields as encoded JSON.

    `changed_at`: when it last changed after it was written, in whatever way (edited, recalled, a late thumbnail).
    """

    __tablename__ = "entries"
    conversation_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    count: Mapped[int] = mapped_column(BigInteger)
    change: Mapped[int] = mapped_column(BigInteger)
    sender_id: Mapped[int | None] = mapped_column(BigInteger)
    local_id: Mapped[str] = mapped_column(String(64))
    digest: Mapped[int] = mapped_column(BigInteger)
    type: Mapped[str] = mapped_column(String(8))
    content: Mapped[str] = mapped_column(Text)
    body: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Moment)
    edited_at: Mapped[datetime | None] = mapped_column(Moment)
    recalled_at: Mapped[datetime | None] = mapped_column(Moment)
    changed_at: Mapped[datetime | None] = mapped_column(Moment)
    __table_args__ = (
        # Without notices, which nobody sends twice: whoever looks for the next localId would go through all of them.
        Index(
            "entries_local_id",
            "conversation_id",
            "sender_id",
            "local_id",
            unique=True,
            postgresql_where=text("sender_id IS NOT NULL"),
        ),
        # Few rows are ever in these two: what changed since a client looked, and what no longer counts as unread.
        Index(
            "entries_changed",
            "conversation_id",
            "change",
            postgresql_where=text("changed_at IS NOT NULL"),
        ),
        # With the sender: counting need not look at the rows, which also keeps the planner from taking the other one.
        Index(
            "entries_recalled",
            "conversation_id",
            "seq",
            postgresql_include=["sender_id"],
            postgresql_where=text("recalled_at IS NOT NULL"),
        ),
    )


class IdempotentAnswer(Base):
    """The kept answer to a creating request with an Idempotency-Key, written in the request's own transaction; 24 h."""

    __tablename__ = "idempotent_answers"
    user_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    digest: Mapped[int] = mapped_column(BigInteger)
    answer: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Moment, server_default=func.now(), index=True)


class Media(Base):
    """An upload. `name`: its id on the wire and the name of its files, not to be guessed; `extension` with its dot.

    `data` is the encoded JSON of a message's `media`, its addresses unsigned. `thumbnail`: none, pending, ready.
    `look_at`: when a duty has to look whether its thumbnail, or the telling of it, is still owed; null: nothing is.
    `used`: some entry uses it, noted after a while; what stays unused is deleted. `file_name` is the user's own, for
    show and download only.
    """

    __tablename__ = "media"
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    name: Mapped[str] = mapped_column(String(32, collation="C"), unique=True)
    owner_id: Mapped[int] = mapped_column(BigInteger)
    kind: Mapped[str] = mapped_column(String(8))
    mime_type: Mapped[str] = mapped_column(String(100))
    extension: Mapped[str] = mapped_column(String(8))
    size: Mapped[int] = mapped_column(BigInteger)
    file_name: Mapped[str] = mapped_column(String(255))
    thumbnail: Mapped[str] = mapped_column(String(8), server_default=text("'none'"))
    used: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    data: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Moment, server_default=func.now())
    ready_at: Mapped[datetime | None] = mapped_column(Moment)
    look_at: Mapped[datetime | None] = mapped_column(Moment)
    __table_args__ = (
        # Few rows are ever in these: what may have to be deleted, and what a duty still owes.
        Index("media_unused", "owner_id", "created_at", postgresql_where=text("NOT used")),
        Index("media_unused_by_age", "created_at", postgresql_where=text("NOT used")),
        Index("media_owing", "look_at", postgresql_where=text("look_at IS NOT NULL")),
    )


class MediaUse(Base):
    """An entry that uses an upload: what permission and the sweep of unused uploads look at."""

    __tablename__ = "media_uses"
    media_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    conversation_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    __table_args__ = (Index("media_uses_entry", "conversation_id", "seq"),)
