"""How much a user has not read: all their conversations by one statement, and none of it is stored."""

from typing import Any

from chat.history import ENTRY, encoded
from chat.ids import conversation_wire_id
from chat.transaction import Transaction
from chat.unread import UNREAD

__all__ = ["counts"]

NAMED = 1_000  # conversations named; more unread ones are only in the total
SHOWN = 100  # of them with their last message: what a list shows at once


def counts(tx: Transaction, user_id: int) -> dict[str, Any]:
    """Return {total, conversations: {id: {unread, lastMessage}}, notifications}.

    Only conversations with something unread are named, the newest NAMED of them, and the newest SHOWN of these have
    their last message; the total counts all.
    """
    rows = tx.execute(COUNTS, {"user": user_id, "named": NAMED, "shown": SHOWN}).all()
    named = {
        conversation_wire_id(row.id, row.low, row.high): {
            "unread": row.unread,
            "lastMessage": None if row.seq is None else encoded(row),
        }
        for row in rows
    }
    return {"total": int(rows[0].total) if rows else 0, "conversations": named, "notifications": 0}


COUNTS = f"""
WITH counted AS MATERIALIZED (
    SELECT m.conversation_id, m.visible_from, h.last_seq, h.last_at, {UNREAD} AS unread
    FROM memberships m JOIN conversation_heads h ON h.conversation_id = m.conversation_id
    WHERE m.user_id = :user AND m.left_seq IS NULL AND h.last_count > m.read_count + m.own_count
), named AS MATERIALIZED (
    SELECT *, sum(unread) OVER () AS total, row_number() OVER (ORDER BY last_at DESC) AS place
    FROM counted WHERE unread > 0 ORDER BY last_at DESC LIMIT :named
)
SELECT c.id, c.low, c.high, n.unread, n.total, {ENTRY}
FROM named n JOIN conversations c ON c.id = n.conversation_id
LEFT JOIN LATERAL (
    SELECT * FROM entries i WHERE n.place <= :shown
       AND i.conversation_id = n.conversation_id AND i.seq = n.last_seq AND i.seq > n.visible_from LIMIT 1) e ON true
ORDER BY n.place
"""  # noqa: S608 - put together of constants
