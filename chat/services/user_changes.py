"""A user's own count of changes: what concerns only them (let in, put out, a pin, a notification).

A client that sees a hole in the count fetches anew. The row is locked last of all, after conversations and memberships,
and several users' rows in the order of their numbers.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from chat.frames import USER, Event
from chat.transaction import Transaction

__all__ = ["next_change", "next_changes", "tell"]


def next_change(tx: Transaction, user_id: int) -> int:
    """Count one more change of this user and return its number."""
    return next_changes(tx, [user_id])[user_id]


def next_changes(tx: Transaction, user_ids: Iterable[int]) -> dict[int, int]:
    """Count one more change of each of these users, and return the numbers."""
    rows = tx.execute(NEXT, {"users": list(user_ids)})
    return {row.user_id: row.change for row in rows}


def tell(tx: Transaction, event: str, data: Mapping[int, Mapping[str, Any]]) -> None:
    """Tell users, by number, something durable that concerns only them. Each one's data gets their `userChange`."""
    for user, change in next_changes(tx, data).items():
        tx.emit(Event.of(event, {**data[user], "userChange": change}, USER, user, change=change))


NEXT = """
INSERT INTO user_heads AS h (user_id, change, touched)
SELECT u, 1, (extract(epoch FROM clock_timestamp()) / 8)::int FROM unnest(CAST(:users AS bigint[])) u ORDER BY u
ON CONFLICT (user_id) DO UPDATE SET change = h.change + 1, touched = excluded.touched
RETURNING user_id, change
"""
