"""Groups: making, finding, naming and ending them. Who is in them is the business of members and roles.

Every change reads what it can first, then locks the conversation's row and decides by what it sees under the lock, for
a message, a kick or another join may have come in between.
"""

from collections.abc import Collection
from typing import Any, NamedTuple

from sqlalchemy import Row

from chat.errors import ChatError
from chat.frames import Caller
from chat.ids import parse_conversation
from chat.paging import page_cursor, read_page_cursor
from chat.services import members, notices, people, views
from chat.services.members import ADMIN, OWNER, demand, open_group
from chat.services.views import View
from chat.times import wire_time
from chat.transaction import Transaction

__all__ = ["Settings", "create", "delete", "get", "listed", "update"]


class Settings(NamedTuple):
    """What can be set of a group; None leaves as it is. An empty avatar takes it away.

    `history`: `all` or `joined` (what a new member sees). `joining`: `open` or `invited`. `listed`: found by everybody.
    """

    name: str | None = None
    avatar: str | None = None
    history: str | None = None
    joining: str | None = None
    listed: bool | None = None


def create(tx: Transaction, caller: Caller, settings: Settings, member_ids: Collection[str]) -> View:
    """Make a group of the caller, its owner, and these users. Returns it as the caller sees it.

    Raises ChatError invalid (with the ids that nobody has) or group_full.
    """
    others = [person for person in people.named(tx, member_ids, "memberIds") if person.id != caller.user_id]
    if len(others) >= tx.config["GROUP_MEMBERS"]:
        raise ChatError("group_full")
    owner = people.the_caller(tx, caller.user_id)
    group_id = tx.execute(CREATE, {**_values(settings), "creator": owner.id}).scalar_one()
    everyone = [owner.id, *(person.id for person in others)]
    tx.execute(FOUND, {"id": group_id, "users": everyone, "owner": owner.id})
    notices.append(tx, group_id, "created", owner, added=everyone)
    members.tell_added(tx, group_id, everyone)
    return views.of_members(tx, group_id, [owner.id])[0]


def get(tx: Transaction, user_id: int, wire_id: str) -> dict[str, Any]:
    """Return a group as its member sees it, or what outsiders see of one that is listed or open.

    Raises ChatError not_a_member, also where there is none.
    """
    view = views.one(tx, user_id, wire_id)
    if view is not None:
        return view.data
    row = tx.execute(OUTSIDE, {"id": parse_conversation(wire_id)[0]}).first()
    if row is None:
        raise ChatError("not_a_member")
    return _from_outside(row)


def listed(tx: Transaction, cursor: str, limit: int) -> dict[str, Any]:
    """Return a page of the groups that everybody may find, the newest first: {groups, nextCursor}."""
    before = read_page_cursor(cursor, int)[0] if cursor else 2**63 - 1
    rows = tx.execute(LISTED, {"before": before, "rows": limit + 1}).all()
    more = page_cursor(rows[limit - 1].id) if len(rows) > limit else None
    return {"groups": [_from_outside(row) for row in rows[:limit]], "nextCursor": more}


def update(tx: Transaction, caller: Caller, wire_id: str, settings: Settings) -> dict[str, Any]:
    """Change a group's name, picture or rules, and return it. Raises ChatError not_a_member or forbidden (no admin)."""
    actor = people.the_caller(tx, caller.user_id)
    group = open_group(tx, caller.user_id, wire_id)
    demand(group, ADMIN)
    row = tx.execute(UPDATE, {**_values(settings), "id": group.id}).one()
    if row.name != group.name:
        notices.append(tx, group.id, "renamed", actor, details={"name": row.name})
    notices.changed(tx, group.id, "settings", dict(row._mapping))
    return get(tx, caller.user_id, wire_id)


def delete(tx: Transaction, caller: Caller, wire_id: str) -> None:
    """End a group: everybody leaves, nobody reads it any more. Raises ChatError not_a_member or forbidden."""
    actor = people.the_caller(tx, caller.user_id)
    group = open_group(tx, caller.user_id, wire_id)
    demand(group, OWNER)
    members.end(tx, group, "deleted", actor)


def _values(settings: Settings) -> dict[str, Any]:
    return settings._asdict()


def _from_outside(row: Row[Any]) -> dict[str, Any]:
    return {
        "id": f"g{row.id}", "kind": "group", "name": row.name, "avatar": row.avatar, "memberCount": row.member_count,
        "history": row.history, "joining": row.joining, "listed": row.listed, "createdAt": wire_time(row.created_at),
    }  # fmt: skip


CREATE = """
WITH made AS (
    INSERT INTO conversations (kind, name, avatar, creator_id, history, joining, listed)
    VALUES ('group', :name, nullif(:avatar, ''), :creator, coalesce(:history, 'joined'), coalesce(:joining, 'invited'),
            coalesce(:listed, false))
    RETURNING id
)
INSERT INTO conversation_heads (conversation_id) SELECT id FROM made RETURNING conversation_id
"""
# Their positions stand at the notice of the creation, the first entry, which they see.
FOUND = """
INSERT INTO memberships (conversation_id, user_id, role, delivered_seq, read_seq)
SELECT :id, u, CASE WHEN u = :owner THEN 'owner' ELSE 'member' END, 1, 1 FROM unnest(CAST(:users AS bigint[])) u
"""
UPDATE = """
UPDATE conversations SET name = coalesce(:name, name),
    avatar = CASE WHEN CAST(:avatar AS text) IS NULL THEN avatar ELSE nullif(:avatar, '') END,
    history = coalesce(:history, history), joining = coalesce(:joining, joining), listed = coalesce(:listed, listed)
WHERE id = :id RETURNING name, avatar, history, joining, listed
"""
SHOWN = """
SELECT c.id, c.name, c.avatar, c.history, c.joining, c.listed, c.created_at, h.member_count
FROM conversations c JOIN conversation_heads h ON h.conversation_id = c.id
WHERE c.deleted_at IS NULL AND
"""
OUTSIDE = SHOWN + "c.id = :id AND c.kind = 'group' AND (c.listed OR c.joining = 'open')"
LISTED = SHOWN + "c.listed AND c.id < :before ORDER BY c.id DESC LIMIT :rows"
