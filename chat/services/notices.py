"""What a conversation tells of itself: notices (entries that are no messages) and changes without an entry.

Both move the conversation's `change` and therefore lock its row: call them last. Whoever changes members does so
through a notice, which moves `members_version`, so that nobody is told by an outdated list of members.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Row

from chat.errors import ChatError
from chat.frames import CONVERSATION, Event
from chat.ids import conversation_wire_id
from chat.messages import message_json
from chat.services.people import Person
from chat.times import epoch_us
from chat.transaction import Transaction

__all__ = ["Notice", "append", "changed"]

NAMES_SHOWN = 3  # names in a sentence before it says "and 7 others": a line on a phone
MEMBERS_TOLD = 20  # members named in an event, so that a process without a list of its own need not read it

SENTENCES = {
    "created": "{actor} created the group.",
    "deleted": "{actor} deleted the group.",
    "joined": "{actor} joined.",
    "left": "{actor} left.",
    "added": "{actor} added {subjects}.",
    "removed": "{actor} removed {subjects}.",
    "renamed": "{actor} renamed the group to {name}.",
}


@dataclass(frozen=True, slots=True)
class Notice:
    """The numbers of a notice that was written."""

    seq: int
    count: int
    change: int
    members_version: int


def append(
    tx: Transaction,
    conversation_id: int,
    kind: str,
    actor: Person,
    subjects: Sequence[Person] = (),
    *,
    added: Sequence[int] = (),
    removed: Sequence[int] = (),
    details: Mapping[str, Any] | None = None,
) -> Notice:
    """Write a notice and tell it to the members, those of `added` included, those of `removed` (users' numbers) not.

    The memberships must have been changed before. Raises ChatError not_a_member if there is no such conversation.
    """
    told = {"kind": kind, "actorId": actor.public_id, "userIds": [person.public_id for person in subjects]}
    body = orjson.dumps({"metadata": {"notice": told | dict(details or {})}}).decode()
    content = SENTENCES[kind].format(actor=actor.name, subjects=_listed(subjects), **(details or {}))
    delta = len(added) - len(removed)
    moves = 1 if added or removed else 0
    values = {"id": conversation_id, "moves": moves, "delta": delta, "content": content, "body": body}
    row = _only(tx.execute(APPEND, values).first())
    at = epoch_us(row.last_at)
    raw = message_json(_wire_id(row), row.id, row.last_seq, row.change, None, row.local_id, "system", content, body, at)
    tx.emit(_event("message", raw, row, seq=row.last_seq, added=tuple(added), removed=tuple(removed)))
    return Notice(row.last_seq, row.last_count, row.change, row.members_version)


def changed(
    tx: Transaction, conversation_id: int, kind: str, data: Mapping[str, Any], *, version_moves: bool = False
) -> int:
    """Count a change of the conversation that has no entry, tell the members of it, and return its number.

    Raises ChatError not_a_member if there is no such conversation.
    """
    row = _only(tx.execute(CHANGED, {"id": conversation_id, "moves": int(version_moves)}).first())
    told = {"conversationId": _wire_id(row), "change": row.change, "kind": kind, **data}
    tx.emit(_event("conversation", orjson.dumps(told), row))
    return int(row.change)


def _only(row: Row[Any] | None) -> Row[Any]:
    if row is None:
        raise ChatError("not_a_member")
    return row


def _wire_id(row: Row[Any]) -> str:
    return conversation_wire_id(row.id, row.low, row.high)


def _event(name: str, raw: bytes, row: Row[Any], **more: Any) -> Event:
    members = tuple(row.members or ())
    return Event(
        name, raw, CONVERSATION, row.id, change=row.change, version=row.members_version, members=members, **more
    )


def _listed(people: Sequence[Person]) -> str:
    names = [person.name for person in people[:NAMES_SHOWN]]
    others = len(people) - len(names)
    if others:
        names.append(f"{others} others" if others > 1 else "one more")
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


MOVED = """
    UPDATE conversation_heads
    SET {more} change = change + 1, members_version = members_version + :moves,
        touched = (extract(epoch FROM clock_timestamp()) / 8)::int
    WHERE conversation_id = :id
    RETURNING *
"""
TOLD = f"""
CASE WHEN h.member_count <= {MEMBERS_TOLD} THEN (
    SELECT array_agg(m.user_id ORDER BY m.user_id) FROM memberships m
    WHERE m.conversation_id = :id AND m.left_seq IS NULL) END AS members
"""  # noqa: S608 - put together of constants
NUMBERED = """
        last_seq = last_seq + 1, member_count = member_count + :delta,
        last_at = greatest(clock_timestamp(), last_at + interval '1 microsecond'),
"""
APPEND = f"""
WITH head AS ({MOVED.format(more=NUMBERED)}), entry AS (
    INSERT INTO entries (conversation_id, seq, count, change, local_id, digest, type, content, body, created_at)
    SELECT conversation_id, last_seq, last_count, change, 'notice-' || last_seq, 0, 'system', :content, :body, last_at
    FROM head RETURNING local_id
)
SELECT c.id, c.low, c.high, h.last_seq, h.last_count, h.change, h.members_version, h.last_at, e.local_id, {TOLD}
FROM head h JOIN conversations c ON c.id = h.conversation_id CROSS JOIN entry e
"""  # noqa: S608 - put together of constants
CHANGED = f"""
WITH head AS ({MOVED.format(more="")})
SELECT c.id, c.low, c.high, h.change, h.members_version, {TOLD}
FROM head h JOIN conversations c ON c.id = h.conversation_id
"""  # noqa: S608 - put together of constants
