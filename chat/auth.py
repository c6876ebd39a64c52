"""Who calls: bearer tokens, cookies and tickets to callers; passwords to hashes.

A valid token is believed for a minute without asking the database, as long as the tail looks, which hears of each login
that ends, and else for five seconds; a login that is ended here is forgotten at once.
Passwords are hashed in gevent's thread pool, for argon2 does not yield: the one place below the node that knows gevent.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from hashlib import sha256
from math import inf
from threading import BoundedSemaphore
from time import monotonic, time
from typing import Any, NamedTuple, Protocol, TypeVar

import gevent
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from redis import Redis
from sqlalchemy import Engine

from chat import origins
from chat.errors import ChatError
from chat.frames import Caller
from chat.services import logins
from chat.throttle import Throttle
from chat.tokens import Claims, Tokens
from chat.transaction import Teller, run_in_transaction

__all__ = ["COOKIE", "Auth", "Passwords"]

T = TypeVar("T")
COOKIE = "chat_session"
# Seconds; the end of a login must be known everywhere within 10. Who was asked about is believed for half of it, and,
# while the tail looks, which tells of each login that ends, for a minute.
BELIEVED = 5
BELIEVED_WATCHED = 60
WATCHED = 8  # seconds since the tail began to look, up to which it counts as looking: it does so every five
KEPT = 20_000  # callers of the last minute; about 8 MB
NONE = {"", "null", "undefined"}  # what a page sends that has no token
AT_ONCE = 2  # hashes at a time: each takes a core and 19 MiB
WAITING = 64  # more than a second's work; who would wait longer is told so at once

# RFC 9106 leaves memory and time to the site; these are OWASP's smallest: 25 ms a password on one core.
HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
# A hash of nothing, with the same parameters: an unknown name must cost what a wrong password costs.
NOBODY = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"


class Process(Teller, Protocol):
    """What a process is to its authority: where database and Redis are, besides settings and telling."""

    @property
    def engine(self) -> Engine:
        """The pool of database connections."""

    @property
    def redis(self) -> Redis:
        """The client of the shared Redis."""


class Kept(NamedTuple):
    """A caller who is believed, when the database was asked (monotonic), and when their token ends (since 1970)."""

    caller: Caller
    asked: float
    until: float


class Auth:
    """This process's authority on who calls.

    `unwatched()` gives the seconds for which a login may have ended without `forget` being told of it.
    """

    def __init__(self, process: Process, unwatched: Callable[[], float] = lambda: inf):
        self._process, self._unwatched = process, unwatched
        self._patterns = origins.patterns_of(process.config)
        self._kept: OrderedDict[bytes, Kept] = OrderedDict()
        self._endings = 0
        self.tokens = Tokens(process.config)
        self.passwords = Passwords()

    @cached_property
    def throttle(self) -> Throttle:
        """The limits on guessing."""
        config = self._process.config
        pool = self._process.redis.connection_pool
        return Throttle(pool, config["REDIS_PREFIX"], config["LOGIN_PER_NAME"], config["LOGIN_PER_ADDRESS"])

    def token_of(self, headers: Mapping[str, str], cookies: Mapping[str, str], query: Mapping[str, str]) -> str:
        """Return the token of a request: `Authorization: Bearer`, else the cookie, else (by setting) the query.

        The cookie counts only from the own origin and from origins that CORS_ORIGINS names without a wildcard. Raises
        ChatError not_authenticated.
        """
        scheme, _, bearer = headers.get("Authorization", "").strip().partition(" ")
        found = bearer.strip() if scheme.lower() == "bearer" else ""
        if found in NONE and origins.named(headers.get("Origin"), headers.get("Host"), self._patterns):
            found = cookies.get(COOKIE, "")
        if found in NONE and self._process.config["TOKEN_IN_QUERY"]:
            found = query.get("token", "")
        if found in NONE:
            raise ChatError("not_authenticated")
        return found

    def authenticate(self, token: str) -> Caller:
        """Return the caller of a token, believed or asked for. Raises ChatError bad_token."""
        key = _digest(token)
        caller = self.kept(key)
        if caller is not None:
            return caller
        claims = self.tokens.read(token)
        endings = self._endings
        caller = self._in_transaction(partial(self._caller, claims))
        if endings == self._endings:  # else this very login may have been ended while we asked
            self._keep(key, Kept(caller, monotonic(), claims.expires_at.timestamp()))
        return caller

    def believed(self, authorization: str) -> Caller | None:
        """Return the caller of an Authorization header whose token is believed without asking; None for any other."""
        return self.kept(self.key(authorization))

    @staticmethod
    def key(authorization: str) -> bytes:
        """Return what `kept` knows an Authorization header by; nothing for one that is none of a bearer token."""
        scheme, _, token = authorization.partition(" ")
        return _digest(token) if scheme == "Bearer" else b""

    def kept(self, key: bytes) -> Caller | None:
        """Return the caller of this key, if they are believed without asking."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        since = monotonic() - kept.asked
        believed = since < BELIEVED or (since < BELIEVED_WATCHED and self._unwatched() < WATCHED)
        return kept.caller if believed and time() < kept.until else None

    def authenticate_all(self, tokens: Sequence[str]) -> list[Caller | ChatError]:
        """Return the caller of each token, or why there is none, in one unit of work: a commit for all that is made.

        Raises ChatError when the database cannot be asked.
        """
        read = [_tried(self.tokens.read, token) for token in tokens]
        claims = {place: one for place, one in enumerate(read) if isinstance(one, Claims)}
        order = sorted(claims, key=lambda place: claims[place].user)  # the same everywhere, so that none wait in a ring
        made = self._in_transaction(lambda tx: {place: _tried(self._caller, claims[place], tx) for place in order})
        return [made[place] if isinstance(one, Claims) else one for place, one in enumerate(read)]

    def caller_of_ticket(self, ticket: str) -> Caller:
        """Return the caller of a WebSocket ticket and use it up. Raises ChatError bad_token."""
        return self._in_transaction(lambda tx: logins.caller_of_ticket(tx, ticket))

    def forget(self, login_id: int) -> None:
        """Believe no token of this login any more without asking: it was ended, here or elsewhere."""
        self._endings += 1
        for key in [key for key, kept in self._kept.items() if kept.caller.login_id == login_id]:
            del self._kept[key]

    def _caller(self, claims: Claims, tx: Any) -> Caller:
        if claims.login_id:
            return logins.caller_of(tx, claims)
        return logins.host_caller(tx, claims, create=self._process.config["JWT_AUTO_CREATE"])

    def _keep(self, key: bytes, kept: Kept) -> None:
        self._kept[key] = kept
        self._kept.move_to_end(key)
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)

    def _in_transaction(self, work: Callable[[Any], T]) -> T:
        return run_in_transaction(self._process.engine, self._process, work)


class Passwords:
    """Hashes passwords off the event loop, two at a time; past a bounded line of waiting ones, `overloaded`."""

    def __init__(self) -> None:
        self._places = BoundedSemaphore(AT_ONCE)
        self._waiting = 0

    def hash(self, password: str) -> str:
        """Return the argon2id hash of a password. Raises ChatError overloaded."""
        return self._work(HASHER.hash, password)

    def match(self, password_hash: str | None, password: str) -> bool:
        """Tell whether the password is right. None (unknown, or no password) takes as long and is never right."""
        right = self._work(_verified, password_hash or NOBODY, password)
        return right and password_hash is not None

    def renewed(self, password_hash: str | None, password: str) -> str:
        """Return a hash with today's parameters for one that was made with others; empty if it was made with these."""
        if password_hash is None or not HASHER.check_needs_rehash(password_hash):
            return ""
        return self.hash(password)

    def _work(self, function: Callable[..., T], *arguments: str) -> T:
        if self._waiting >= WAITING:
            raise ChatError("overloaded", retry_after=1)
        self._waiting += 1
        try:
            with self._places:
                result: T = gevent.get_hub().threadpool.apply(function, arguments)
                return result
        finally:
            self._waiting -= 1


def _digest(token: str) -> bytes:
    return sha256(token.encode(errors="replace")).digest()


def _tried(function: Callable[..., T], *arguments: Any) -> T | ChatError:
    """Return a refusal instead of raising it."""
    try:
        return function(*arguments)
    except ChatError as error:
        return error


def _verified(password_hash: str, password: str) -> bool:
    # An exception in the thread pool would be printed by gevent, so none may leave this function.
    try:
        return HASHER.verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False
