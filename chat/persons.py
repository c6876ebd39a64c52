"""Users as the wire shows them: the database's row and the leases' presence, put together."""

from collections.abc import Sequence
from typing import Any

from chat.services.users import UserRow, own_data, person_data

__all__ = ["own", "persons", "presence"]


def persons(node: Any, rows: Sequence[UserRow]) -> list[dict[str, Any]]:
    """Return users as others see them."""
    states = _states(node, rows)
    return [person_data(row, online=states[row.id][0]) for row in rows]


def own(node: Any, row: UserRow) -> dict[str, Any]:
    """Return a user as they see themselves."""
    online, _ = node.presence.states([row.id]).get(row.id, (False, 0))
    return own_data(row, online=online)


def presence(node: Any, rows: Sequence[UserRow]) -> list[dict[str, Any]]:
    """Return the presence of users: {userId, online, lastSeenAt, number}; a higher number is the later word."""
    states = _states(node, rows)
    return [_presence(person_data(row, online=states[row.id][0]), states[row.id][1]) for row in rows]


def _presence(person: dict[str, Any], number: int) -> dict[str, Any]:
    seen = {"online": person["online"], "lastSeenAt": person["lastSeenAt"]}
    return {"userId": person["id"], **seen, "number": number}


def _states(node: Any, rows: Sequence[UserRow]) -> dict[int, tuple[bool, int]]:
    shown = [row.id for row in rows if row.shows_presence]
    known = node.presence.states(shown) if shown else {}
    return {row.id: known.get(row.id, (False, 0)) for row in rows}
