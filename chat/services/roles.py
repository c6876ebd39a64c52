"""Roles in a group: owner, admin, member, and who may write. There is exactly one owner; the role is handed over.

None of this changes who is in the group, so it has no notice: the members hear of it as a change of the conversation.
"""

from datetime import UTC, datetime

from chat.errors import ChatError
from chat.frames import Caller
from chat.services import notices, people
from chat.services.members import ADMIN, OWNER, ROLE, OpenGroup, demand, demand_over, open_group
from chat.services.people import Person
from chat.times import wire_time
from chat.transaction import Transaction

__all__ = ["assign", "mute", "transfer"]

LONGEST = datetime(9000, 1, 1, tzinfo=UTC)  # for ever, and still a time in every zone


def assign(tx: Transaction, caller: Caller, wire_id: str, user_id: str, role: str) -> None:
    """Make a member an admin or an admin a member, by the owner.

    Raises ChatError not_a_member, forbidden, unknown_user, or last_owner for the owner's own role.
    """
    subject = people.one(tx, user_id)
    group = open_group(tx, caller.user_id, wire_id)
    demand(group, OWNER)
    if subject.id == caller.user_id:
        raise ChatError("last_owner")
    if _role_of(tx, group, subject) != role:
        _set_roles(tx, group, {subject.id: role})
        notices.changed(tx, group.id, "roles", {"roles": {subject.public_id: role}})


def transfer(tx: Transaction, caller: Caller, wire_id: str, user_id: str) -> None:
    """Make another member the owner; the owner of before stays as an admin.

    Raises ChatError not_a_member, forbidden or unknown_user.
    """
    subject = people.one(tx, user_id)
    group = open_group(tx, caller.user_id, wire_id)
    demand(group, OWNER)
    if subject.id == caller.user_id:
        return
    _role_of(tx, group, subject)
    _set_roles(tx, group, {caller.user_id: ADMIN, subject.id: OWNER})
    notices.changed(tx, group.id, "roles", {"roles": {caller.public_id: ADMIN, subject.public_id: OWNER}})


def mute(tx: Transaction, caller: Caller, wire_id: str, user_id: str, until: datetime | None) -> None:
    """Forbid a member of a lower role to write until then (aware), by an admin or the owner; None or past: they may.

    Raises ChatError not_a_member, forbidden or unknown_user.
    """
    subject = people.one(tx, user_id)
    group = open_group(tx, caller.user_id, wire_id)
    demand_over(tx, group, subject)
    if until is not None:
        until = min(until, LONGEST) if until > datetime.now(UTC) else None
    tx.execute(MUTE, {"id": group.id, "user": subject.id, "until": until})
    told = {"userId": subject.public_id, "mutedUntil": wire_time(until) if until else None}
    notices.changed(tx, group.id, "mute", told)


def _role_of(tx: Transaction, group: OpenGroup, subject: Person) -> str:
    role = tx.execute(ROLE, {"id": group.id, "user": subject.id}).scalar()
    if role is None:
        raise ChatError("unknown_user")
    return str(role)


def _set_roles(tx: Transaction, group: OpenGroup, roles: dict[int, str]) -> None:
    tx.execute(SET_ROLES, {"id": group.id, "users": list(roles), "roles": list(roles.values())})


# One row after the other by user, the order in which everybody locks memberships.
SET_ROLES = """
WITH locked AS MATERIALIZED (
    SELECT user_id FROM memberships WHERE conversation_id = :id AND user_id = ANY(:users) ORDER BY user_id FOR UPDATE
)
UPDATE memberships m SET role = r.role
FROM locked l JOIN unnest(CAST(:users AS bigint[]), CAST(:roles AS text[])) r(user_id, role) ON r.user_id = l.user_id
WHERE m.conversation_id = :id AND m.user_id = l.user_id
"""
MUTE = "UPDATE memberships SET muted_until = :until WHERE conversation_id = :id AND user_id = :user"
