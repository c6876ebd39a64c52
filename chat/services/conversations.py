"""A user's conversations: the list, one of them, and what a member sets for themselves.

Pinning, quieting, hiding and clearing concern only the member: they are told as changes of the user, not of the
conversation.
"""

from datetime import datetime
from typing import Any, NamedTuple

from chat.errors import ChatError
from chat.frames import CONVERSATION, Caller, Event
from chat.history import BY_VALUE
from chat.ids import conversation_wire_id, parse_conversation
from chat.paging import page_cursor, read_page_cursor
from chat.services import user_changes, views
from chat.services.views import View
from chat.transaction import Transaction

__all__ = ["Listed", "Place", "clear", "find", "get", "page", "place_of", "typing", "update"]

TYPING_MEMBERS = 200  # members up to which typing is told: in a larger group somebody always types


class Listed(NamedTuple):
    """A page of a user's list and the cursor of the next one."""

    views: list[View]
    next_cursor: str | None


class Place(NamedTuple):
    """A conversation that a user is in: its number, the pair of a private one, the user's role."""

    id: int
    low: int | None
    high: int | None
    role: str

    @property
    def wire_id(self) -> str:
        """The conversation's id on the wire."""
        return conversation_wire_id(self.id, self.low, self.high)


def page(tx: Transaction, user_id: int, cursor: str, limit: int) -> Listed:
    """Return a page of a user's conversations: pinned first, then the newest last entry; hidden ones left out."""
    if cursor:
        found = views.next_page(tx, user_id, limit + 1, _key(cursor))
    else:
        found = views.first_page(tx, user_id, limit + 1)
    shown = found[:limit]
    return Listed(shown, page_cursor(*shown[-1].key) if len(found) > limit else None)


def get(tx: Transaction, user_id: int, wire_id: str) -> View:
    """Return a conversation as the user sees it. Raises ChatError not_a_member."""
    view = views.one(tx, user_id, wire_id)
    if view is None:
        raise ChatError("not_a_member")
    return view


def find(tx: Transaction, user_id: int, wire_id: str) -> Place:
    """Return a conversation that a user is in. Raises ChatError not_a_member, also where there is none."""
    return place_of(tx, user_id, parse_conversation(wire_id))


def place_of(tx: Transaction, user_id: int, parsed: tuple[int, int, int]) -> Place:
    """Do what `find` does with an id that was parsed."""
    group, low, high = parsed
    row = tx.execute(FIND, {"user": user_id, "group": group, "low": low, "high": high}).first()
    if row is None:
        raise ChatError("not_a_member")
    return Place._make(row)


def update(
    tx: Transaction, caller: Caller, wire_id: str, pinned: bool | None, muted: bool | None, hidden: bool | None
) -> View:
    """Pin a conversation, silence its notifications, or hide it until something new comes; None leaves as it is.

    Returns the conversation. Raises ChatError not_a_member.
    """
    place = find(tx, caller.user_id, wire_id)
    values = {"id": place.id, "user": caller.user_id, "pinned": pinned, "quiet": muted, "hidden": hidden}
    row = tx.execute(UPDATE, values).first()
    if row is None:
        raise ChatError("not_a_member")
    told = {"pinned": row.pinned, "muted": row.quiet, "hidden": row.hidden}
    _tell_own(tx, caller, place, "preferences", told)
    return get(tx, caller.user_id, wire_id)


def clear(tx: Transaction, caller: Caller, wire_id: str) -> None:
    """Take everything up to now out of the caller's sight, and the conversation out of their list until more comes.

    Raises ChatError not_a_member.
    """
    place = find(tx, caller.user_id, wire_id)
    head = tx.lock_conversation(place.id)
    values = {"id": place.id, "user": caller.user_id, "seq": head.last_seq, "count": head.last_count}
    if tx.execute(CLEAR, values).rowcount == 0:
        raise ChatError("not_a_member")
    _tell_own(tx, caller, place, "cleared", {"visibleFrom": head.last_seq, "readSeq": head.last_seq, "unread": 0})


def typing(tx: Transaction, caller: Caller, wire_id: str, is_typing: bool) -> None:
    """Tell the other members that the caller types, or has stopped. Nobody keeps it. Raises ChatError not_a_member."""
    place = find(tx, caller.user_id, wire_id)
    row = tx.execute(AUDIENCE, {"id": place.id}).one()
    if row.member_count > TYPING_MEMBERS:
        return
    data = {"conversationId": place.wire_id, "userId": caller.public_id, "typing": is_typing}
    event = Event.of(
        "typing", data, CONVERSATION, place.id,
        version=row.members_version, origin=caller.session_id, logged=False,
    )  # fmt: skip
    tx.emit(event)


def _tell_own(tx: Transaction, caller: Caller, place: Place, kind: str, data: dict[str, Any]) -> None:
    told = {"conversationId": place.wire_id, "kind": kind, **data}
    user_changes.tell(tx, "conversation", {caller.user_id: told})


def _key(cursor: str) -> tuple[bool, str, int]:
    pinned, last_at, number = read_page_cursor(cursor, bool, str, int)
    try:
        datetime.fromisoformat(last_at)
    except ValueError as error:
        raise ChatError("invalid", details={"cursor": ["Not a cursor of this list."]}) from error
    return pinned, last_at, number


FIND = f"""
SELECT c.id, c.low, c.high, m.role FROM conversations c
JOIN memberships m ON m.conversation_id = c.id AND m.user_id = :user AND m.left_seq IS NULL WHERE {BY_VALUE}
"""  # noqa: S608 - put together of constants
UPDATE = """
UPDATE memberships m SET
    pinned_at = CASE WHEN CAST(:pinned AS boolean) IS NULL THEN m.pinned_at
                     WHEN :pinned THEN coalesce(m.pinned_at, now()) END,
    quiet = coalesce(:quiet, m.quiet),
    hidden_seq = CASE WHEN CAST(:hidden AS boolean) IS NULL THEN m.hidden_seq WHEN :hidden THEN h.last_seq END
FROM conversation_heads h
WHERE m.conversation_id = :id AND m.user_id = :user AND m.left_seq IS NULL AND h.conversation_id = m.conversation_id
RETURNING m.pinned_at IS NOT NULL AS pinned, m.quiet, coalesce(m.hidden_seq >= h.last_seq, false) AS hidden
"""
CLEAR = """
UPDATE memberships SET visible_from = :seq, hidden_seq = :seq, delivered_seq = :seq, read_seq = :seq,
    read_count = :count, own_count = 0, moved_at = clock_timestamp()
WHERE conversation_id = :id AND user_id = :user AND left_seq IS NULL
"""
AUDIENCE = "SELECT member_count, members_version FROM conversation_heads WHERE conversation_id = :id"
