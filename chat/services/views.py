"""A conversation as one of its members sees it: the object of every list, answer and event, made by one statement.

The presence of a private conversation's peer is not the database's to tell: `View.peer_id` says whose it is.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Row

from chat.history import BY_VALUE, ENTRY, encoded
from chat.ids import conversation_wire_id, parse_conversation
from chat.times import wire_time
from chat.transaction import Transaction
from chat.unread import UNREAD

__all__ = ["View", "first_page", "next_page", "of_members", "one"]


class View(NamedTuple):
    """`data` as it goes out; `key`: its place in the list; `peer_id`: whose presence belongs into it (0: nobody's)."""

    data: dict[str, Any]
    user_id: int
    peer_id: int
    key: tuple[bool, str, int]


def first_page(tx: Transaction, user_id: int, rows: int) -> list[View]:
    """Return the first views of a user's list: pinned first, then the newest last entry."""
    return _views(tx, FIRST, {"user": user_id, "rows": rows})


def next_page(tx: Transaction, user_id: int, rows: int, after: tuple[bool, str, int]) -> list[View]:
    """Return the views that follow the one with the key `after`."""
    pinned, last_at, number = after
    return _views(tx, NEXT, {"user": user_id, "rows": rows, "pinned": pinned, "last_at": last_at, "id": number})


def one(tx: Transaction, user_id: int, wire_id: str) -> View | None:
    """Return the view of one conversation; None if the user is not in it. Raises ChatError not_a_member for no id."""
    group, low, high = parse_conversation(wire_id)
    views = _views(tx, ONE, {"user": user_id, "group": group, "low": low, "high": high})
    return views[0] if views else None


def of_members(tx: Transaction, conversation_id: int, user_ids: Sequence[int]) -> list[View]:
    """Return a conversation as each of these members sees it."""
    return _views(tx, OF_MEMBERS, {"id": conversation_id, "users": list(user_ids)})


def _views(tx: Transaction, statement: str, values: Mapping[str, Any]) -> list[View]:
    return [_view(row) for row in tx.execute(statement, values)]


def _view(row: Row[Any]) -> View:
    key = row.pinned, wire_time(row.last_at), row.id
    return View({**_whose(row), **_standing(row)}, row.user_id, row.peer_id or 0, key)


def _whose(row: Row[Any]) -> dict[str, Any]:
    wire_id = conversation_wire_id(row.id, row.low, row.high)
    if row.low is not None:
        peer = {
            "id": row.peer, "name": row.peer_name, "avatar": row.peer_avatar, "online": False,
            "lastSeenAt": wire_time(row.last_seen_at) if row.last_seen_at else None,
            "deliveredSeq": row.peer_delivered, "readSeq": row.peer_read,
        }  # fmt: skip
        return {"id": wire_id, "kind": "private", "name": row.peer_name, "avatar": row.peer_avatar, "peer": peer}
    return {
        "id": wire_id, "kind": "group", "name": row.name, "avatar": row.avatar, "role": row.role,
        "memberCount": row.member_count, "history": row.history, "joining": row.joining, "listed": row.listed,
    }  # fmt: skip


def _standing(row: Row[Any]) -> dict[str, Any]:
    data = {
        "unread": row.unread, "lastMessage": None if row.seq is None else encoded(row), "lastSeq": row.last_seq,
        "change": row.change, "readSeq": row.read_seq, "deliveredSeq": row.delivered_seq,
        "pinned": row.pinned, "muted": row.quiet, "createdAt": wire_time(row.conversation_created_at),
    }  # fmt: skip
    if row.away:
        data["away"] = True
    if row.muted_until:
        data["mutedUntil"] = wire_time(row.muted_until)
    return data


# A list is sorted by what changes with every message and therefore has no index: a user's memberships are looked up,
# then sorted. Only the rows of the page get their last entry, peer and unread; LIMIT 1 keeps the planner from looking
# these up by the conversation alone, which read all the entries of some.
SEEN = "m.left_seq IS NULL AND (m.hidden_seq IS NULL OR h.last_seq > m.hidden_seq)"
LISTED = f"""
SELECT m.conversation_id, m.user_id FROM memberships m
JOIN conversation_heads h ON h.conversation_id = m.conversation_id
WHERE m.user_id = :user AND {SEEN} {{after}}
ORDER BY (m.pinned_at IS NOT NULL) DESC, h.last_at DESC, m.conversation_id DESC LIMIT :rows
"""  # noqa: S608 - put together of constants
AFTER = """
AND (m.pinned_at IS NOT NULL, h.last_at, m.conversation_id) < (:pinned, CAST(:last_at AS timestamptz), :id)
"""
VIEW = f"""
WITH chosen AS MATERIALIZED ({{chosen}})
SELECT c.id, c.low, c.high, c.name, c.avatar, c.history, c.joining, c.listed,
       c.created_at AS conversation_created_at,
       h.last_seq, h.change, h.member_count, h.last_at, m.user_id, m.role, m.read_seq, m.delivered_seq, m.quiet, m.away,
       m.pinned_at IS NOT NULL AS pinned, {UNREAD} AS unread,
       CASE WHEN m.muted_until > now() THEN m.muted_until END AS muted_until,
       u.public_id AS peer, u.name AS peer_name, u.avatar AS peer_avatar,
       CASE WHEN u.shows_presence THEN u.id END AS peer_id,
       CASE WHEN u.shows_presence THEN u.last_seen_at END AS last_seen_at,
       CASE WHEN u.sends_receipts THEN p.delivered_seq ELSE 0 END AS peer_delivered,
       CASE WHEN u.sends_receipts THEN p.read_seq ELSE 0 END AS peer_read,
       {ENTRY}
FROM chosen JOIN memberships m ON m.conversation_id = chosen.conversation_id AND m.user_id = chosen.user_id
JOIN conversations c ON c.id = m.conversation_id
JOIN conversation_heads h ON h.conversation_id = m.conversation_id
LEFT JOIN users u ON u.id = c.low + c.high - m.user_id
LEFT JOIN LATERAL (
    SELECT i.delivered_seq, i.read_seq FROM memberships i
    WHERE i.conversation_id = c.id AND i.user_id = c.low + c.high - m.user_id LIMIT 1) p ON true
LEFT JOIN LATERAL (
    SELECT * FROM entries i
    WHERE i.conversation_id = h.conversation_id AND i.seq = h.last_seq AND i.seq > m.visible_from LIMIT 1) e ON true
ORDER BY pinned DESC, h.last_at DESC, m.conversation_id DESC
"""  # noqa: S608 - put together of constants
FIRST = VIEW.format(chosen=LISTED.format(after=""))
NEXT = VIEW.format(chosen=LISTED.format(after=AFTER))
ONE = VIEW.format(
    chosen=f"""
SELECT m.conversation_id, m.user_id FROM conversations c
JOIN memberships m ON m.conversation_id = c.id AND m.user_id = :user AND m.left_seq IS NULL WHERE {BY_VALUE} LIMIT 1
"""  # noqa: S608 - put together of constants
)
OF_MEMBERS = VIEW.format(
    chosen="SELECT CAST(:id AS bigint) AS conversation_id, unnest(CAST(:users AS bigint[])) AS user_id"
)
