"""What the database holds of conversations, read in one snapshot as plain rows: nothing of the server is used."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

import psycopg
from psycopg.rows import dict_row

__all__ = ["Conversation", "Entry", "Ledger", "Member", "read_ledger"]


@dataclass(frozen=True)
class Entry:
    """A row of the entries; `sender` is the wire id, None for a notice; `notice` what a notice says of itself.

    `media` is what an upload says of itself, its addresses unsigned.
    """

    seq: int
    count: int
    change: int
    sender: str | None
    local_id: str
    type: str
    content: str
    created_at: datetime
    recalled_at: datetime | None = None
    notice: dict[str, Any] | None = None
    media: dict[str, Any] | None = None


@dataclass(frozen=True)
class Member:
    """A membership, also one that is over (`left_seq`). Up to `hidden_seq` the member wants it out of their list."""

    visible_from: int = 0
    left_seq: int | None = None
    delivered_seq: int = 0
    read_seq: int = 0
    read_count: int = 0
    own_count: int = 0
    hidden_seq: int | None = None


@dataclass
class Conversation:
    """A conversation with its head, its entries by seq as they stand in the database, and its members by wire id."""

    wire_id: str
    last_seq: int = 0
    last_count: int = 0
    last_recalled_seq: int = 0
    change: int = 0
    member_count: int = 0
    first_seq: int = 0
    first_count: int = 0
    history: str = "all"
    name: str = ""
    rows: list[Entry] = field(default_factory=list)
    members: dict[str, Member] = field(default_factory=dict)

    @cached_property
    def entries(self) -> dict[int, Entry]:
        """The entries by seq; to be asked for when all rows are there."""
        return {row.seq: row for row in self.rows}


Ledger = dict[str, Conversation]  # by wire id


def read_ledger(database_url: str, users: Iterable[str] = ()) -> Ledger:
    """Read everything, or only what these users (wire ids) are or were in, as one moment has it."""
    with psycopg.connect(
        database_url.replace("+psycopg", "", 1), row_factory=dict_row, connect_timeout=10
    ) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        values = {"users": list(users)}
        ledger = {row["wire_id"]: Conversation(**row) for row in connection.execute(HEADS, values)}
        for row in connection.execute(MEMBERS, values):
            conversation, user = ledger[row.pop("wire_id")], row.pop("public_id")
            conversation.members[user] = Member(**row)
        for row in connection.execute(ENTRIES, values):
            conversation, body = ledger[row.pop("wire_id")], json.loads(row.pop("body") or "{}")
            notice = body.get("metadata", {}).get("notice")
            conversation.rows.append(Entry(**row, notice=notice, media=body.get("media")))
    return ledger


WIRE_ID = "CASE WHEN c.low IS NULL THEN 'g' || c.id ELSE 'p' || c.low || '-' || c.high END AS wire_id"
THEIRS = """(cardinality(%(users)s::text[]) = 0 OR EXISTS (
    SELECT FROM memberships t JOIN users tu ON tu.id = t.user_id
    WHERE t.conversation_id = c.id AND tu.public_id = ANY (%(users)s)))"""
HEADS = f"""
SELECT {WIRE_ID}, h.last_seq, h.last_count, h.last_recalled_seq, h.change, h.member_count, h.first_seq, h.first_count,
       c.history, coalesce(c.name, '') AS name
FROM conversations c JOIN conversation_heads h ON h.conversation_id = c.id WHERE {THEIRS}
"""
MEMBERS = f"""
SELECT {WIRE_ID}, u.public_id, m.visible_from, m.left_seq, m.delivered_seq, m.read_seq, m.read_count, m.own_count,
       m.hidden_seq
FROM conversations c JOIN memberships m ON m.conversation_id = c.id JOIN users u ON u.id = m.user_id WHERE {THEIRS}
"""
ENTRIES = f"""
SELECT {WIRE_ID}, e.seq, e.count, e.change, u.public_id AS sender, e.local_id, e.type, e.content, e.body, e.created_at,
       e.recalled_at
FROM conversations c JOIN entries e ON e.conversation_id = c.id LEFT JOIN users u ON u.id = e.sender_id
WHERE {THEIRS} ORDER BY e.conversation_id, e.seq
"""
