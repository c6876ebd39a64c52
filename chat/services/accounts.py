"""Accounts: registering, what a log-in is checked against, and users whom a host application vouches for."""

import unicodedata
from typing import NamedTuple

from chat.errors import ChatError
from chat.text import is_address, line_of, search_key
from chat.transaction import Transaction

__all__ = ["Account", "Credentials", "credentials", "keep_hash", "register", "shown"]

KEY_CHARACTERS = 200  # of the column; 64 characters can unfold to more than a thousand
NAME_CHARACTERS = 64
ATTEMPTS = 8  # ids that a host application may have taken before us, one after another
HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}  # Unicode's classes of what is not seen, or not alike everywhere


class Account(NamedTuple):
    """A user's number and wire id."""

    user_id: int
    public_id: str


class Credentials(NamedTuple):
    """What a log-in is checked against. `password_hash` is None for who has no password."""

    user_id: int
    public_id: str
    password_hash: str | None


def register(tx: Transaction, username: str, password_hash: str, name: str) -> Account:
    """Make a user with a password. Raises ChatError name_taken; invalid for a user name that could pose as another."""
    key = _username_key(username)
    values = {
        "username": username,
        "username_key": key,
        "password_hash": password_hash,
        "name": name,
        "name_key": search_key(name, KEY_CHARACTERS),
    }
    for _ in range(ATTEMPTS):
        row = tx.execute(REGISTER, values).first()
        if row is not None:
            return Account._make(row)
        if credentials(tx, username) is not None:
            raise ChatError("name_taken")
    raise ChatError("overloaded", retry_after=1)


def credentials(tx: Transaction, username: str) -> Credentials | None:
    """Return what is known of a user name, in whatever case and form it is given; None if there is no such user."""
    row = tx.execute(CREDENTIALS, {"key": search_key(username, KEY_CHARACTERS + 1)}).first()
    return None if row is None else Credentials._make(row)


def keep_hash(tx: Transaction, user_id: int, password_hash: str) -> None:
    """Replace a password's hash by one with today's parameters."""
    tx.execute("UPDATE users SET password_hash = :hash WHERE id = :id", {"id": user_id, "hash": password_hash})


def shown(public_id: str, name: str, avatar: str | None) -> dict[str, str | None]:
    """Return what a host application's user is made with: {public_id, name, name_key, avatar}, fit to be shown."""
    line = line_of(name, NAME_CHARACTERS) or public_id
    picture = avatar if avatar and is_address(avatar) else None
    return {"public_id": public_id, "name": line, "name_key": search_key(line, KEY_CHARACTERS), "avatar": picture}


def _username_key(username: str) -> str:
    key = search_key(username, KEY_CHARACTERS + 1)
    if len(key) > KEY_CHARACTERS or any(unicodedata.category(sign) in HIDDEN for sign in username + key):
        raise ChatError("invalid", details={"username": ["Holds characters that cannot be part of a user name."]})
    return key


REGISTER = """
WITH next AS (SELECT nextval(pg_get_serial_sequence('users', 'id')) AS id),
person AS (
    INSERT INTO users (id, public_id, username, username_key, password_hash, name, name_key)
    SELECT id, 'u' || id, :username, :username_key, :password_hash, :name, :name_key FROM next
    ON CONFLICT DO NOTHING RETURNING id, public_id
), head AS (INSERT INTO user_heads (user_id) SELECT id FROM person)
SELECT id, public_id FROM person
"""
CREDENTIALS = "SELECT id, public_id, password_hash FROM users WHERE username_key = :key"
