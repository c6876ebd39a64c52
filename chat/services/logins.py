"""Logins: one device's line of refresh tokens, a 30-day token, or a host application's token. Each can be ended."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from secrets import token_urlsafe
from typing import Any, NamedTuple

from sqlalchemy import Row

from chat import refresh_tokens
from chat.errors import ChatError
from chat.frames import Caller
from chat.services import accounts
from chat.times import wire_time
from chat.tokens import Claims
from chat.transaction import Transaction

__all__ = [
    "DEVICE",
    "TOKEN",
    "Opened",
    "Reused",
    "caller_of",
    "caller_of_ticket",
    "end_login",
    "host_caller",
    "listed",
    "make_ticket",
    "open_login",
    "open_token",
    "refresh",
]

DEVICE, TOKEN, HOST = "device", "token", "host"
LIVE = 100  # logins of a user at a time, a host's tokens not counted; the one used longest ago gives way
LISTED = 200  # logins that a list shows, the last used first
SIGHTS = 2  # somebody else may make the user while we do: then they are there for the second try
USED_EVERY = timedelta(hours=1)  # how exact `usedAt` is: a write an hour and device
SWEPT = 20  # expired tickets that go with each new one: more than come, so none pile up
TICKET_CHARACTERS = 64


class Opened(NamedTuple):
    """A login that was opened or refreshed. `refresh_token` is empty where it has none."""

    user_id: int
    public_id: str
    login_id: int
    refresh_token: str = ""


class Reused(NamedTuple):
    """A refresh token came a second time, so somebody has a copy: its login is ended."""

    login_id: int


def open_login(tx: Transaction, account: accounts.Account, kind: str, name: str) -> Opened:
    """Open a login, ending the user's least used one beyond the bound."""
    days = tx.config["REFRESH_DAYS" if kind == DEVICE else "TOKEN_DAYS"]
    values = {"user": account.user_id, "kind": kind, "name": name, "life": timedelta(days=days)}
    login_id: int = tx.execute(OPEN, values).scalar_one()
    tx.execute(MAKE_ROOM, {"user": account.user_id, "live": LIVE})
    if kind != DEVICE:
        return Opened(*account, login_id)
    token = refresh_tokens.make(tx.config["JWT_SECRET"], login_id, 0)
    tx.execute(OPENED, {"login": login_id, "digest": refresh_tokens.digest_of(token)})
    return Opened(*account, login_id, token)


def refresh(tx: Transaction, token: str, key: str = "") -> Opened | Reused:
    """Return the login with its next refresh token; a token that was used before ends it. Raises ChatError bad_token.

    `key` is the client's own name of this request. The same token with the same key is the same request and gets the
    same refresh token again, until that one is used: a client that names its requests loses no login to a lost answer.
    """
    secret = tx.config["JWT_SECRET"]
    told = refresh_tokens.read(secret, token)
    row = tx.execute(REFRESHED, {"login": told.login_id}).first()
    if row is None:
        raise ChatError("bad_token")
    number = told.number + 1
    following = refresh_tokens.make(secret, told.login_id, number, f"{token} {key}" if key else "")
    digest = refresh_tokens.digest_of(following)
    if row.refresh_digest == refresh_tokens.digest_of(token):
        life = timedelta(days=tx.config["REFRESH_DAYS"])
        tx.execute(ADVANCED, {"login": told.login_id, "number": number, "digest": digest, "life": life})
    elif row.refresh_digest != digest:
        end_login(tx, row.user_id, told.login_id)
        return Reused(told.login_id)
    return Opened(row.user_id, row.public_id, told.login_id, following)


def caller_of(tx: Transaction, claims: Claims) -> Caller:
    """Return the caller that one of our own tokens names. Raises ChatError bad_token if its login has ended."""
    row = tx.execute(CALLER, {"login": claims.login_id}).first()
    if row is None or row.public_id != claims.user:
        raise ChatError("bad_token")
    _keep_used(tx, claims.login_id, row.used_at)
    return Caller(row.user_id, row.public_id, claims.login_id)


def host_caller(tx: Transaction, claims: Claims, *, create: bool) -> Caller:
    """Return the caller of a host application's token, whose login is opened when the token is first seen.

    `create`: an unknown user is made. Raises ChatError bad_token for an unknown user or a login that was ended here.
    """
    row = tx.execute(HOST_LOGIN, {"key": claims.external_key}).first() or _first_sight(tx, claims, create=create)
    if row.ended_at is not None or row.public_id != claims.user:
        raise ChatError("bad_token")
    if row.expires_at < claims.expires_at:
        tx.execute("UPDATE logins SET expires_at = :end WHERE id = :id", {"id": row.id, "end": claims.expires_at})
    _keep_used(tx, row.id, row.used_at)
    return Caller(row.user_id, row.public_id, row.id)


def end_login(tx: Transaction, user_id: int, login_id: int) -> bool:
    """End one of the user's logins, whose connections are to be ended after the commit. False: there is no such one."""
    return tx.execute(END, {"login": login_id, "user": user_id}).first() is not None


def open_token(tx: Transaction, caller: Caller, name: str) -> Opened:
    """Open a login of its own for a token without refresh. Raises ChatError forbidden to a host application's token.

    How long a host lets its users in is the host's to say.
    """
    kind = tx.execute("SELECT kind FROM logins WHERE id = :id", {"id": caller.login_id}).scalar()
    if kind == HOST:
        raise ChatError("forbidden", "A host application's token makes no others.")
    return open_login(tx, accounts.Account(caller.user_id, caller.public_id), TOKEN, name)


def listed(tx: Transaction, caller: Caller) -> list[dict[str, Any]]:
    """Return the user's logins as the wire shows them, the last used first."""
    rows = tx.execute(LIST, {"user": caller.user_id, "most": LISTED})
    return [
        {
            "id": str(row.id),
            "kind": row.kind,
            "name": row.name,
            "createdAt": wire_time(row.created_at),
            "usedAt": wire_time(row.used_at),
            "expiresAt": wire_time(row.expires_at),
            "current": row.id == caller.login_id,
        }
        for row in rows
    ]


def make_ticket(tx: Transaction, login_id: int) -> str:
    """Return a ticket that opens one connection of this login, once, within TICKET_SECONDS."""
    tx.execute(SWEEP, {"most": SWEPT})
    ticket = token_urlsafe(32)
    life = timedelta(seconds=tx.config["TICKET_SECONDS"])
    tx.execute(MAKE_TICKET, {"digest": _digest(ticket), "login": login_id, "life": life})
    return ticket


def caller_of_ticket(tx: Transaction, ticket: str) -> Caller:
    """Return the caller of a ticket, which is then used up. Raises ChatError bad_token."""
    row = tx.execute(USE_TICKET, {"digest": _digest(ticket)}).first() if len(ticket) <= TICKET_CHARACTERS else None
    if row is None:
        raise ChatError("bad_token", "The ticket is not valid (any more).")
    return Caller(row.user_id, row.public_id, row.id)


def _keep_used(tx: Transaction, login_id: int, used_at: datetime) -> None:
    if datetime.now(UTC) - used_at > USED_EVERY:
        tx.execute("UPDATE logins SET used_at = now() WHERE id = :id", {"id": login_id})


def _first_sight(tx: Transaction, claims: Claims, *, create: bool) -> Row[Any]:
    """Make login and, if `create`, user in one statement: whole schools come at eight, each with a token never seen."""
    values = accounts.shown(claims.user, claims.name, claims.avatar)
    asked = {**values, "key": claims.external_key, "end": claims.expires_at, "create": create}
    for _ in range(SIGHTS):
        row = tx.execute(FIRST_SIGHT, asked).first() or tx.execute(HOST_LOGIN, {"key": claims.external_key}).first()
        if row is not None:
            return row
    raise ChatError("bad_token", "Nobody here has the id that this token names.")


def _digest(ticket: str) -> bytes:
    return sha256(ticket.encode(errors="replace")).digest()


OPEN = """
INSERT INTO logins (user_id, kind, name, expires_at)
VALUES (:user, :kind, :name, now() + CAST(:life AS interval)) RETURNING id
"""
MAKE_ROOM = """
UPDATE logins SET ended_at = now() WHERE id IN (
    SELECT id FROM logins WHERE user_id = :user AND ended_at IS NULL AND expires_at > now() AND kind <> 'host'
    ORDER BY used_at DESC, id DESC OFFSET :live)
"""
OPENED = "UPDATE logins SET refresh_digest = :digest WHERE id = :login"
REFRESHED = """
SELECT l.user_id, l.refresh_digest, u.public_id FROM logins l JOIN users u ON u.id = l.user_id
WHERE l.id = :login AND l.kind = 'device' AND l.ended_at IS NULL AND l.expires_at > now() FOR UPDATE OF l
"""
ADVANCED = """
UPDATE logins
SET refresh_digest = :digest, refresh_count = :number, used_at = now(), expires_at = now() + CAST(:life AS interval)
WHERE id = :login
"""
CALLER = """
SELECT l.user_id, u.public_id, l.used_at FROM logins l JOIN users u ON u.id = l.user_id
WHERE l.id = :login AND l.ended_at IS NULL AND l.expires_at > now()
"""
HOST_LOGIN = """
SELECT l.id, l.user_id, u.public_id, l.used_at, l.expires_at, l.ended_at FROM logins l JOIN users u ON u.id = l.user_id
WHERE l.external_key = :key
"""
FIRST_SIGHT = """
WITH known AS (SELECT id FROM users WHERE public_id = :public_id),
made AS (
    INSERT INTO users (public_id, name, name_key, avatar)
    SELECT CAST(:public_id AS text), CAST(:name AS text), CAST(:name_key AS text), CAST(:avatar AS text)
    WHERE :create AND NOT EXISTS (SELECT FROM known)
    ON CONFLICT DO NOTHING RETURNING id
), head AS (
    INSERT INTO user_heads (user_id) SELECT id FROM made
)
INSERT INTO logins (user_id, kind, external_key, expires_at)
SELECT id, 'host', :key, :end FROM (SELECT id FROM known UNION ALL SELECT id FROM made) person
ON CONFLICT (external_key) DO NOTHING
RETURNING id, user_id, :public_id AS public_id, used_at, expires_at, ended_at
"""
END = """
UPDATE logins SET ended_at = now() WHERE id = :login AND user_id = :user AND ended_at IS NULL RETURNING id
"""
LIST = """
SELECT l.id, l.kind, l.name, l.created_at, l.used_at, l.expires_at FROM logins l
WHERE l.user_id = :user AND l.ended_at IS NULL AND l.expires_at > now() ORDER BY l.used_at DESC, l.id DESC LIMIT :most
"""
SWEEP = """
DELETE FROM tickets WHERE digest = ANY (ARRAY(
    SELECT digest FROM tickets WHERE expires_at < now() ORDER BY expires_at LIMIT :most FOR UPDATE SKIP LOCKED))
"""
MAKE_TICKET = """
INSERT INTO tickets (digest, login_id, expires_at) VALUES (:digest, :login, now() + CAST(:life AS interval))
"""
USE_TICKET = """
DELETE FROM tickets t USING logins l, users u
WHERE t.digest = :digest AND t.expires_at > now() AND l.id = t.login_id AND u.id = l.user_id
  AND l.ended_at IS NULL AND l.expires_at > now()
RETURNING l.user_id, u.public_id, l.id
"""
