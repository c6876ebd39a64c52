"""Sessions are opened many at a time, by one query: does the login hold, and which conversations are there?

A session is registered first, so that nothing told from then on passes it by; then its user's conversations are read.
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import gevent
import orjson
from gevent.event import Event as Signal

from chat.audience import LocalUser
from chat.catchup import BUCKET_US, Place
from chat.frames import Caller, Event
from chat.hub import Hub
from chat.postgres import Lost, Refused, Statement
from chat.session import Session, State

__all__ = ["Opened", "Opening"]

SQL = "SELECT chat_open_3($1::json)"
AT_ONCE = 100  # sessions of one query: some ms of the database, some 100 kB of answer
GIVE_UP = 10.0  # seconds a session waits for a database that is away


class Opened(NamedTuple):
    """What the database said of a user: `gone_us` is the login's gone_at, `places` are their conversations."""

    gone_us: int | None
    user_touched: int
    places: list[Place]


class Named(Protocol):
    """Whom a token or ticket names."""

    public_id: str
    login_id: int
    external_key: str
    token: str


class _Asked(NamedTuple):
    session: Session
    named: Named
    since: float


class Opening:
    """The queue of sessions that open. `opened(session, Opened)` or `refused(session, token, away)` hears of each.

    `token` is a host application's, whose login is not known yet; `away`: the database could not say.
    """

    def __init__(
        self,
        database_url: str,
        hub: Hub,
        opened: Callable[[Session, Opened], None],
        refused: Callable[[Session, str, bool], None],
    ):
        self._statement = Statement(database_url, SQL, "chat opening")
        self._hub = hub
        self._opened, self._refused = opened, refused
        self._queue: list[_Asked] = []
        self._wake = Signal()
        self.loops = {"opening": self._run}

    def ask(self, session: Session, named: Named) -> None:
        """Open a session for a user's login, named by its number or by a host application's key. Never waits."""
        self._queue.append(_Asked(session, named, time.monotonic()))
        self._wake.set()

    def _run(self) -> None:
        while True:
            if not self._queue:
                self._wake.clear()
                self._wake.wait()
            asked, self._queue = self._queue[:AT_ONCE], self._queue[AT_ONCE:]
            asked = [one for one in asked if one.session.state is State.OPENING]
            if asked:
                self._open(asked)

    def _open(self, asked: list[_Asked]) -> None:
        self._hub.opening += 1
        try:
            rows = self._read(asked)
            if rows is None:
                return
            for row in rows:
                self._take(asked[row[0]], row)
        finally:
            self._hub.opening -= 1
            self._hub.opened()
            self._hub.flush()

    def _read(self, asked: list[_Asked]) -> list[Any] | None:
        """Ask the database; None: it is away, and who has waited too long was refused, the others wait on."""
        question = [
            {"o": place, "p": one.named.public_id, "g": one.named.login_id, "k": one.named.external_key or None}
            for place, one in enumerate(asked)
        ]
        try:
            return list(orjson.loads(self._statement.read(orjson.dumps(question)) or b"[]"))
        except (Lost, Refused):
            limit = time.monotonic() - GIVE_UP
            for one in asked:
                if one.since < limit:
                    self._refused(one.session, "", True)
            self._queue = [one for one in asked if one.since >= limit] + self._queue
            gevent.sleep(0.1)
            return None

    def _take(self, one: _Asked, row: list[Any]) -> None:
        _, login_id, user_id, gone_us, (user_touched, user_change), heads = row
        session = one.session
        if session.state is not State.OPENING:
            return
        if not login_id or not user_id:
            self._refused(session, one.named.token if one.named.external_key else "", False)
            return
        if self._hub.begun_with(user_id) - {head[0] for head in heads}:
            self._queue.append(one)  # what was said there is in nothing that was read: read again
            return
        session.caller = Caller(user_id, one.named.public_id, login_id, session.id)
        user = self._hub.enter(session, user_change)
        self._join(user, session, heads)
        self._opened(session, Opened(gone_us, user_touched, [self._place(head) for head in heads]))

    def _join(self, user: LocalUser, session: Session, heads: list[list[Any]]) -> None:
        """Count a user among the members of what they are in.

        To other sessions of theirs here some of it may be new: its beginning was lost or is under way, and the room, as
        it is now, would drop it. They have to ask for it.
        """
        unheard = False
        for conversation, low, high, change, version, _, _, visible_from, _ in heads:
            unheard = unheard or conversation not in user.conversations
            self._hub.join(user, conversation, change, version, visible_from)
            if low is not None and low != high:
                self._hub.watchers.pair(user, high if low == user.id else low)
        for other in user.sessions if unheard else ():
            if other is not session:
                other.push(Event.resync(user.id))

    def _place(self, head: list[Any]) -> Place:
        """Return how a conversation stands.

        What was delivered here since the database was asked, the session lacks, and the log may not have it yet.
        """
        conversation, low, _, change, _, touched, behind, visible_from, joined = head
        audience = self._hub.audiences.get(conversation)
        if audience is not None and audience.gate.last > change:
            change, touched = audience.gate.last, time.time_ns() // 1_000 // BUCKET_US
        return Place(conversation, touched, behind, change, visible_from, joined if low is None else 0)
