"""Users as others and they themselves see them: look up, search, change one's own. Presence is added elsewhere."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row, bindparam, select, update
from sqlalchemy.sql.elements import ColumnElement

from chat.errors import ChatError
from chat.models import User
from chat.paging import page_cursor, read_page_cursor
from chat.services.accounts import KEY_CHARACTERS
from chat.text import search_key
from chat.times import wire_time
from chat.transaction import Transaction

__all__ = ["UserRow", "by_ids", "change", "own_data", "person_data", "search", "the_user"]

UserRow = Row[Any]
COLUMNS = (
    User.id,
    User.public_id,
    User.username,
    User.name,
    User.avatar,
    User.status_text,
    User.shows_presence,
    User.sends_receipts,
    User.listed,
    User.last_seen_at,
    User.name_key,
)
ONE = select(*COLUMNS).where(User.public_id == bindparam("public_id"))
SEVERAL = select(*COLUMNS).where(User.public_id.in_(bindparam("public_ids", expanding=True)))


def the_user(tx: Transaction, public_id: str) -> UserRow:
    """Return a user's row. Raises ChatError unknown_user."""
    row = tx.execute(ONE, {"public_id": public_id}).first()
    if row is None:
        raise ChatError("unknown_user")
    return row


def by_ids(tx: Transaction, public_ids: Sequence[str]) -> Sequence[UserRow]:
    """Return the rows of these users; who does not exist is left out."""
    return tx.execute(SEVERAL, {"public_ids": list(public_ids)}).all()


def search(tx: Transaction, query: str, cursor: str, limit: int) -> tuple[Sequence[UserRow], str | None]:
    """Return a page of the listed users whose name or user name starts with `query`, by name, and the next cursor.

    Case and form of the letters do not matter. Raises ChatError invalid for a foreign cursor.
    """
    statement = select(*COLUMNS).where(User.listed).order_by(User.name_key, User.id).limit(limit + 1)
    if key := search_key(query, KEY_CHARACTERS):
        statement = statement.where(_starts(User.name_key, key) | _starts(User.username_key, key))
    if cursor:
        name_key, number = read_page_cursor(cursor, str, int)
        after = (User.name_key > name_key) | ((User.name_key == name_key) & (User.id > number))
        statement = statement.where(User.name_key >= name_key, after)
    rows = tx.execute(statement).all()
    if len(rows) <= limit:
        return rows, None
    last = rows[limit - 1]
    return rows[:limit], page_cursor(last.name_key, last.id)


def change(tx: Transaction, user_id: int, values: Mapping[str, Any]) -> UserRow:
    """Change what a user says of themselves (column names and values), and return the new row."""
    changes = dict(values)
    if "name" in changes:
        changes["name_key"] = search_key(changes["name"], KEY_CHARACTERS)
    if not changes:
        return tx.execute(select(*COLUMNS).where(User.id == user_id)).one()
    return tx.execute(update(User).where(User.id == user_id).values(**changes).returning(*COLUMNS)).one()


def person_data(row: UserRow, *, online: bool) -> dict[str, Any]:
    """Return a user as others see them: without presence where it is not shown."""
    shown = row.shows_presence
    return {**_data(row), "online": online and shown, "lastSeenAt": _seen(row) if shown else None}


def own_data(row: UserRow, *, online: bool) -> dict[str, Any]:
    """Return a user as they see themselves, with their settings."""
    return {
        **_data(row),
        "online": online,
        "lastSeenAt": _seen(row),
        "showsPresence": row.shows_presence,
        "sendsReceipts": row.sends_receipts,
        "listed": row.listed,
    }


def _data(row: UserRow) -> dict[str, Any]:
    return {
        "id": row.public_id,
        "username": row.username,
        "name": row.name,
        "avatar": row.avatar,
        "statusText": row.status_text,
    }


def _seen(row: UserRow) -> str | None:
    return None if row.last_seen_at is None else wire_time(row.last_seen_at)


def _starts(column: Any, key: str) -> ColumnElement[bool]:
    return column.startswith(key, autoescape=True)  # type: ignore[no-any-return]
