"""Who is in a group: joining, leaving, adding, removing, and the list of members.

Members change under the lock of the conversation's row and through a notice, so that of a kick and a send (or a join
and a send) one is before the other for everybody. Who comes in stands at their join notice; who left reads nothing any
more.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Row

from chat.errors import ChatError
from chat.frames import Caller
from chat.history import BY_VALUE
from chat.ids import parse_conversation
from chat.paging import page_cursor, read_page_cursor
from chat.services import notices, people, user_changes, views
from chat.services.people import Person
from chat.services.views import View
from chat.times import wire_time
from chat.transaction import Head, Transaction

__all__ = [
    "ADMIN", "MEMBER", "OWNER", "OpenGroup", "add", "demand", "end", "join", "leave", "open_group", "page", "remove",
    "tell_added",
]  # fmt: skip

MEMBER, ADMIN, OWNER = "member", "admin", "owner"
RANKS = {"": -1, MEMBER: 0, ADMIN: 1, OWNER: 2}
ADDED_TOLD = 100  # members let in at once who are given the group: for 5,000 everybody else would wait half a second
POSITIONS_SHOWN = 200  # members above which positions are given on request only: nobody reads so many ticks


class OpenGroup(NamedTuple):
    """A group whose row is locked until the commit, and the caller's role in it (empty: not a member)."""

    id: int
    name: str
    history: str
    joining: str
    role: str
    head: Head

    @property
    def wire_id(self) -> str:
        """The group's id on the wire."""
        return f"g{self.id}"


def open_group(tx: Transaction, user_id: int, wire_id: str) -> OpenGroup:
    """Lock a group and return it as it stands under the lock. Raises ChatError not_a_member if there is none."""
    number = parse_conversation(wire_id)[0]
    head = tx.lock_conversation(number)
    row = tx.execute(OPENED, {"id": number, "user": user_id}).first()
    if row is None:
        raise ChatError("not_a_member")
    return OpenGroup(number, row.name, row.history, row.joining, row.role, head)


def demand(group: OpenGroup, role: str) -> None:
    """Raise ChatError not_a_member or forbidden unless the caller has at least this role."""
    if not group.role:
        raise ChatError("not_a_member")
    if RANKS[group.role] < RANKS[role]:
        raise ChatError("forbidden")


def join(tx: Transaction, caller: Caller, wire_id: str) -> View:
    """Let the caller into an open group and return it; a member already stays as they are.

    Raises ChatError not_a_member (no such group), join_not_allowed or group_full.
    """
    person = people.the_caller(tx, caller.user_id)
    group = open_group(tx, caller.user_id, wire_id)
    if not group.role:
        if group.joining != "open":
            raise ChatError("join_not_allowed")
        _let_in(tx, group, [person.id])
        notices.append(tx, group.id, "joined", person, [person], added=[person.id])
        tell_added(tx, group.id, [person.id])
    return views.of_members(tx, group.id, [person.id])[0]


def add(tx: Transaction, caller: Caller, wire_id: str, user_ids: Sequence[str]) -> View:
    """Let these users in, by an admin or the owner, and return the group; who is in already stays as they are.

    Raises ChatError invalid (with the ids that nobody has), not_a_member, forbidden or group_full.
    """
    wanted = people.named(tx, user_ids, "userIds")
    actor = people.the_caller(tx, caller.user_id)
    group = open_group(tx, caller.user_id, wire_id)
    demand(group, ADMIN)
    values = {"id": group.id, "users": [person.id for person in wanted]}
    present = set(tx.execute(PRESENT, values).scalars())
    fresh = [person for person in wanted if person.id not in present]
    if fresh:
        added = [person.id for person in fresh]
        _let_in(tx, group, added)
        notices.append(tx, group.id, "added", actor, fresh, added=added)
        tell_added(tx, group.id, added)
    return views.of_members(tx, group.id, [caller.user_id])[0]


def leave(tx: Transaction, caller: Caller, wire_id: str) -> None:
    """Take the caller out of a group; the last one ends it. Raises ChatError not_a_member or last_owner."""
    person = people.the_caller(tx, caller.user_id)
    group = open_group(tx, caller.user_id, wire_id)
    demand(group, MEMBER)
    if group.head.member_count == 1:
        end(tx, group, "left", person)
    elif group.role == OWNER:
        raise ChatError("last_owner")
    else:
        _put_out(tx, group, "left", person, person)


def remove(tx: Transaction, caller: Caller, wire_id: str, user_id: str) -> None:
    """Take somebody of a lower role out of a group, by an admin or the owner.

    Raises ChatError not_a_member, forbidden, or unknown_user if that user is not in the group.
    """
    subject = people.one(tx, user_id)
    actor = people.the_caller(tx, caller.user_id)
    group = open_group(tx, caller.user_id, wire_id)
    demand_over(tx, group, subject)
    _put_out(tx, group, "removed", actor, subject)


def demand_over(tx: Transaction, group: OpenGroup, subject: Person) -> str:
    """Return a member's role. Raises ChatError unless the caller, an admin or the owner, stands above it."""
    demand(group, ADMIN)
    role = tx.execute(ROLE, {"id": group.id, "user": subject.id}).scalar()
    if role is None:
        raise ChatError("unknown_user")
    if RANKS[role] >= RANKS[group.role]:
        raise ChatError("forbidden")
    return str(role)


def end(tx: Transaction, group: OpenGroup, kind: str, actor: Person) -> None:
    """Put everybody out of a group and delete it, with a notice of this kind."""
    gone = sorted(tx.execute(END, {"id": group.id, "seq": group.head.last_seq + 1}).scalars())
    notices.append(tx, group.id, kind, actor, removed=gone)
    _tell_removed(tx, group, gone)


def tell_added(tx: Transaction, group_id: int, user_ids: Sequence[int]) -> None:
    """Give these new members the group as each sees it. More than ADDED_TOLD of them hear of it by the notice alone."""
    if len(user_ids) <= ADDED_TOLD:
        seen = views.of_members(tx, group_id, user_ids)
        user_changes.tell(tx, "conversation", {view.user_id: _let_in_told(view) for view in seen})


def _let_in_told(view: View) -> dict[str, Any]:
    data = view.data
    return {"conversationId": data["id"], "change": data["change"], "kind": "added", "conversation": data}


def page(
    tx: Transaction, user_id: int, wire_id: str, cursor: str, limit: int, *, positions: bool = False
) -> dict[str, Any]:
    """Return a page of the members: {members: [{user, role, joinedAt, deliveredSeq, readSeq}], nextCursor}.

    Positions are left out above POSITIONS_SHOWN members unless asked for. Raises ChatError not_a_member.
    """
    group, low, high = parse_conversation(wire_id)
    after = read_page_cursor(cursor, int)[0] if cursor else 0
    values = {"user": user_id, "group": group, "low": low, "high": high, "after": after, "rows": limit + 1}
    rows = tx.execute(PAGE, values).all()
    if not rows:
        raise ChatError("not_a_member")
    found = [row for row in rows[:limit] if row.id is not None]
    shown = positions or rows[0].member_count <= POSITIONS_SHOWN
    more = page_cursor(found[-1].id) if len(rows) > limit else None
    return {"members": [_member(row, positions=shown) for row in found], "nextCursor": more}


def _member(row: Row[Any], *, positions: bool) -> dict[str, Any]:
    user = {"id": row.public_id, "name": row.name, "avatar": row.avatar}
    data = {"user": user, "role": row.role, "joinedAt": wire_time(row.joined_at)}
    if positions:
        data |= {"deliveredSeq": row.delivered_seq, "readSeq": row.read_seq}
    if row.muted_until:
        data["mutedUntil"] = wire_time(row.muted_until)
    return data


def _let_in(tx: Transaction, group: OpenGroup, user_ids: Sequence[int]) -> None:
    head = group.head
    if head.member_count + len(user_ids) > tx.config["GROUP_MEMBERS"]:
        raise ChatError("group_full")
    visible_from = 0 if group.history == "all" else head.last_seq
    values = {"id": group.id, "users": list(user_ids), "seq": head.last_seq + 1, "count": head.last_count}
    tx.execute(LET_IN, {**values, "visible_from": visible_from})


def _put_out(tx: Transaction, group: OpenGroup, kind: str, actor: Person, subject: Person) -> None:
    tx.execute(PUT_OUT, {"id": group.id, "user": subject.id, "seq": group.head.last_seq + 1})
    notices.append(tx, group.id, kind, actor, [subject], removed=[subject.id])
    _tell_removed(tx, group, [subject.id])


def _tell_removed(tx: Transaction, group: OpenGroup, user_ids: Sequence[int]) -> None:
    told = {"conversationId": group.wire_id, "kind": "removed"}
    user_changes.tell(tx, "conversation", dict.fromkeys(user_ids, told))


OPENED = """
SELECT c.name, c.history, c.joining, coalesce(m.role, '') AS role FROM conversations c
LEFT JOIN memberships m ON m.conversation_id = c.id AND m.user_id = :user AND m.left_seq IS NULL
WHERE c.id = :id AND c.kind = 'group' AND c.deleted_at IS NULL
"""
ROLE = "SELECT role FROM memberships WHERE conversation_id = :id AND user_id = :user AND left_seq IS NULL"
PRESENT = "SELECT user_id FROM memberships WHERE conversation_id = :id AND user_id = ANY(:users) AND left_seq IS NULL"
# A ban on writing outlives leaving and coming back.
LET_IN = """
INSERT INTO memberships (conversation_id, user_id, delivered_seq, read_seq, read_count, visible_from)
SELECT :id, u, :seq, :seq, :count, :visible_from FROM unnest(CAST(:users AS bigint[])) u ORDER BY u
ON CONFLICT (conversation_id, user_id) DO UPDATE SET
    role = 'member', delivered_seq = excluded.delivered_seq, read_seq = excluded.read_seq,
    read_count = excluded.read_count, own_count = 0, visible_from = excluded.visible_from, left_seq = NULL,
    away = false, hidden_seq = NULL, pinned_at = NULL, joined_at = now()
"""
PUT_OUT = """
UPDATE memberships SET left_seq = :seq WHERE conversation_id = :id AND user_id = :user AND left_seq IS NULL
"""
END = """
WITH ended AS (UPDATE conversations SET deleted_at = now() WHERE id = :id), leaving AS MATERIALIZED (
    SELECT user_id FROM memberships WHERE conversation_id = :id AND left_seq IS NULL ORDER BY user_id FOR UPDATE
)
UPDATE memberships m SET left_seq = :seq FROM leaving l
WHERE m.conversation_id = :id AND m.user_id = l.user_id RETURNING m.user_id
"""
PAGE = f"""
SELECT h.member_count, u.id, u.public_id, u.name, u.avatar, m.role, m.joined_at,
       CASE WHEN u.sends_receipts OR u.id = :user THEN m.delivered_seq ELSE 0 END AS delivered_seq,
       CASE WHEN u.sends_receipts OR u.id = :user THEN m.read_seq ELSE 0 END AS read_seq,
       CASE WHEN m.muted_until > now() THEN m.muted_until END AS muted_until
FROM conversations c
JOIN conversation_heads h ON h.conversation_id = c.id
JOIN memberships own ON own.conversation_id = c.id AND own.user_id = :user AND own.left_seq IS NULL
LEFT JOIN LATERAL (
    SELECT * FROM memberships i WHERE i.conversation_id = c.id AND i.left_seq IS NULL AND i.user_id > :after
    ORDER BY i.user_id LIMIT :rows) m ON true
LEFT JOIN LATERAL (SELECT * FROM users i WHERE i.id = m.user_id LIMIT 1) u ON true
WHERE {BY_VALUE} ORDER BY m.user_id
"""  # noqa: S608 - put together of constants
