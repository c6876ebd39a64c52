"""What a push notification says, and up to where a user was told.

A note: `{id, userId, conversations: [{conversationId, undelivered, message: {id, seq, senderId, type, content,
createdAt}}]}`, the newest first, ten at most, `content` cut to 200 characters: below 20 kB. What is undelivered is read
from the database; where a user was told of it stands in Redis, and what is forgotten there is told again.
"""

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, NamedTuple

from sqlalchemy import Row, text

from chat.ids import conversation_wire_id, message_wire_id
from chat.times import wire_time
from tasks import stores
from tasks.push import Note

__all__ = ["Due", "is_told", "note_for", "remember"]

KEPT = 604_800  # seconds for which it is known up to where a user was told
CHARACTERS = 200  # of a message: what fits on a phone's lock screen


class Due(NamedTuple):
    """A note to be brought, if there is anything to say, and what its user is told of by it: seqs by conversation."""

    user_id: int
    note: Note | None
    told: dict[str, int]


def note_for(user_id: int, public_id: str) -> Due:
    """Make a note of what a user did not get and was not told of: as it is now, without what was recalled or left."""
    known: Any = stores.redis().hgetall(_key(user_id))
    told = json.dumps({conversation.decode(): int(seq) for conversation, seq in known.items()})
    with stores.engine().connect() as connection:
        rows = list(connection.execute(text(WAITING), {"user": user_id, "told": told}))
    said = [row for row in rows if row.seq]
    note = _note(public_id, said) if said else None
    return Due(user_id, note, {str(row.conversation_id): row.last_seq for row in rows})


def is_told(places: list[tuple[int, int, int]]) -> list[bool]:
    """Tell for each (user, conversation, seq) whether the user was told of that."""
    with stores.redis().pipeline(transaction=False) as asked:
        for user_id, conversation, _ in places:
            asked.hget(_key(user_id), str(conversation))
        told = asked.execute()
    return [int(known or 0) >= seq for (_, _, seq), known in zip(places, told, strict=True)]


def remember(user_id: int, told: Mapping[Any, Any]) -> None:
    """Note up to where a user was told."""
    if told:
        with stores.redis().pipeline(transaction=False) as said:
            said.hset(_key(user_id), mapping=told)
            said.expire(_key(user_id), KEPT)
            said.execute()


def _key(user_id: int) -> str:
    return f"{stores.settings()['REDIS_PREFIX']}push:told:{user_id}"


def _note(public_id: str, rows: list[Row[Any]]) -> Note:
    mark = "".join([public_id, *(f" {row.conversation_id}.{row.seq}" for row in rows)])
    return {
        "id": sha256(mark.encode()).hexdigest()[:32],
        "userId": public_id,
        "conversations": [_conversation(row) for row in rows],
    }


def _conversation(row: Row[Any]) -> dict[str, Any]:
    return {
        "conversationId": conversation_wire_id(row.conversation_id, row.low, row.high),
        "undelivered": row.undelivered,
        "message": {
            "id": message_wire_id(row.conversation_id, row.seq),
            "seq": row.seq,
            "senderId": row.sender,
            "type": row.type,
            "content": row.content[:CHARACTERS],
            "createdAt": wire_time(row.created_at),
        },
    }


# Per conversation the newest message of others that was not taken; one with nothing but own ones comes without. What
# was told is left out before the limit: an eleventh conversation has its turn in the next note.
WAITING = """
SELECT m.conversation_id, c.low, c.high, h.last_seq,
       h.last_seq - greatest(m.delivered_seq, m.visible_from) AS undelivered,
       e.seq, e.type, e.content, e.created_at, u.public_id AS sender
FROM memberships m
JOIN conversation_heads h ON h.conversation_id = m.conversation_id
JOIN conversations c ON c.id = m.conversation_id
LEFT JOIN LATERAL (
    SELECT * FROM entries e
    WHERE e.conversation_id = m.conversation_id AND e.seq > greatest(m.delivered_seq, m.visible_from)
      AND e.sender_id IS NOT NULL AND e.sender_id <> :user AND e.recalled_at IS NULL
    ORDER BY e.seq DESC LIMIT 1) e ON true
LEFT JOIN users u ON u.id = e.sender_id
WHERE m.user_id = :user AND m.left_seq IS NULL AND NOT m.away AND NOT m.quiet AND m.delivered_seq < h.last_seq
  AND h.last_seq > coalesce((CAST(:told AS jsonb) ->> CAST(m.conversation_id AS text))::bigint, 0)
ORDER BY h.touched DESC LIMIT 10
"""
