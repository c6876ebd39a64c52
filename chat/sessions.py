"""The life of sessions: they are let in, told where they stand, handed what they missed, turned live, and ended.

Everything a carrier has to report comes in here; nothing here waits but `_catch_up`, which runs in a greenlet of its
own.
"""

import logging
import secrets
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import gevent

from chat.cursor import Cursor
from chat.errors import ChatError, CloseReason
from chat.frames import USER, Caller, Event
from chat.greeting import hello
from chat.opening import Opened
from chat.protocols import native
from chat.resuming import Resuming, first_cursor, lacks
from chat.session import Session, State

__all__ = ["Admitted", "Sessions"]

logger = logging.getLogger(__name__)
MAKING = 3  # database connections for logins of a host application's tokens: the others are for others
TOGETHER = 20  # of these logins in one commit: some 20 ms of the database, for which the first of them waits
CARRY_ON = 1.0  # seconds after which a client may come back when there were too many


class Admitted(NamedTuple):
    """Who a valid token or ticket names; the login is checked when the session opens."""

    public_id: str
    login_id: int
    external_key: str = ""
    token: str = ""


class Sessions:
    """All sessions of the process, from the handshake to the end."""

    def __init__(self, node: Any):
        self._node = node
        self._resuming = Resuming(node)
        self._newcomers: list[tuple[Session, str]] = []  # with a host application's token; as many as sessions at most
        self._makers = 0
        self._limit = node.config["SESSIONS_PER_USER"]
        self._nobody: dict[Session, tuple[float, str]] = {}  # who has not said who they are: (deadline, address)
        self._per_address: dict[str, int] = {}
        self.draining = False
        self.posted = self._resuming.offline.posted
        self.loops = {"doorkeeper": self._watch_the_door, **self._resuming.offline.loops}

    def session_id(self) -> str:
        """Return a new session's id."""
        return "s" + secrets.token_urlsafe(12)

    def admit(
        self, headers: Mapping[str, str], cookies: Mapping[str, str], query: Mapping[str, str]
    ) -> Admitted | None:
        """Return who a handshake names by token or ticket, None if nobody. Raises ChatError bad_token."""
        if self.draining or not self._node.generation:
            raise ChatError("going_away", retry_after=CARRY_ON)
        auth = self._node.auth
        if query.get("ticket"):
            caller = auth.caller_of_ticket(query["ticket"])
            return Admitted(caller.public_id, caller.login_id)
        try:
            token = auth.token_of(headers, cookies, query)
        except ChatError as error:
            if error.code.name == "not_authenticated":
                return None
            raise
        return self.named(token)

    def named(self, token: str) -> Admitted:
        """Return who a token names. Raises ChatError bad_token."""
        claims = self._node.auth.tokens.read(token)
        return Admitted(claims.user, claims.login_id, claims.external_key, token)

    def open(self, session: Session, admitted: Admitted | None, cursor: str, address: str) -> None:
        """Begin a session for whom the handshake named; nobody has 10 s to say who they are."""
        session.cursor = Cursor.decode(cursor)
        if admitted is not None:
            self._ask(session, admitted)
        elif self._per_address.get(address, 0) >= self._node.config["WAITING_PER_ADDRESS"]:
            self.end(session, CloseReason.TOO_MANY)
        else:
            self._per_address[address] = self._per_address.get(address, 0) + 1
            self._nobody[session] = (time.monotonic() + self._node.config["AUTH_SECONDS"], address)

    def received(self, session: Session, payload: bytes) -> None:
        """Take a frame of a client. What is no command is answered, and the connection kept."""
        if session.state is State.CLOSED:
            return
        try:
            command = native.decode(payload)
        except ChatError as error:
            number = error.details.pop("id", None) if error.details else None
            error.details = error.details or None
            self._refuse(session, number, error)
            return
        session.commanded = session.heard
        if session in self._nobody:
            self._introduce(session, command)
        elif command.op == "auth":
            self._refuse(session, command.id, ChatError("already_authenticated"))
        else:
            self._node.dispatch.take(session, command)

    def _refuse(self, session: Session, number: Any, error: ChatError) -> None:
        """Refuse what is nobody's command; it costs the client as much as one."""
        wait = self._node.dispatch.allow(session)
        self._node.dispatch.refuse(session, number, ChatError("rate_limited", retry_after=wait) if wait else error)

    def proved(self, session: Session) -> None:
        """The client has everything that was handed over before the last ping."""
        proof, session.proof = session.proof, None
        if proof is not None:
            session.taken_us = session.asked_us
            delivered = self._node.positions.delivered
            for conversation, seq in proof.items():
                delivered(session.caller.user_id, conversation, seq)
        taken, session.taken = session.taken, None
        if taken is not None:
            taken()

    def end(self, session: Session, reason: CloseReason) -> None:
        """End a session, whoever wants it; the client is told why and with what to come back."""
        if session.state is State.CLOSED:
            return
        before, session.state = session.state, State.CLOSED
        self._forget_nobody(session)
        if session.taken is not None:
            session.taken()
        farewell = None if reason in (CloseReason.LOST, CloseReason.LEFT) else self._farewell(session, reason, before)
        if session.caller is not None:
            self._depart(session, reason, before)
        session.carrier.close(reason, farewell)

    def end_login(self, login_id: int) -> None:
        """End every session of a login here."""
        for session in list(self._node.hub.sessions.values()):
            if session.caller.login_id == login_id:
                self.end(session, CloseReason.LOGIN_ENDED)

    def end_all(self, reason: CloseReason, seconds: float) -> None:
        """End every session, spread over some seconds so that they do not all come back at once."""
        self.draining = True
        sessions = list(self._node.hub.sessions.values()) + list(self._nobody)
        for place, session in enumerate(sessions, 1):
            self.end(session, reason)
            if not place % 50:
                gevent.sleep(seconds * 50 / len(sessions))
        self._node.hub.flush()

    def opened(self, session: Session, opened: Opened) -> None:
        """The database lets a session in: greet it, and hand it what it missed."""
        node = self._node
        if self.draining:  # it was let in while the door closed, after the others were told to go
            self.end(session, CloseReason.GOING_AWAY)
            return
        user = node.hub.users[session.caller.user_id]
        if sum(1 for other in user.sessions if other.state is not State.CLOSED) > self._limit:
            self.end(session, CloseReason.TOO_MANY)
            return
        node.directory.learn(session.caller.user_id, session.caller.public_id)  # else presence would ask the database
        node.presence.enter(session.caller.user_id, session.id)
        node.sessions_opened += 1
        given = session.cursor
        complete = given is None and not lacks(opened)
        cursor = given or (node.cursor() if complete else first_cursor(node.generation, opened))
        session.state = State.CATCHING
        session.carrier.event(
            hello(node, session, cursor, given is not None and node.catchup.resumable(given, node.generation))
        )
        session.taken_us = cursor.time_us
        if complete:
            self._resuming.turn_live(session)
        else:
            gevent.spawn(self._resuming.run, session, cursor, opened)
        node.dispatch.wake(session)

    def refused(self, session: Session, token: str, away: bool) -> None:
        """The database does not let a session in, or cannot say. A host application's token may still make a login."""
        if away:
            self.end(session, CloseReason.INTERNAL)
        elif token:
            self._newcomers.append((session, token))
            if self._makers < MAKING:
                self._makers += 1
                gevent.spawn(self._make_logins)
        else:
            self.end(session, CloseReason.LOGIN_ENDED)

    def _make_logins(self) -> None:
        try:
            while self._newcomers:
                batch, self._newcomers = self._newcomers[:TOGETHER], self._newcomers[TOGETHER:]
                self._make(batch)
                self._node.hub.flush()
        finally:
            self._makers -= 1

    def _make(self, batch: list[tuple[Session, str]]) -> None:
        """Let in who has a login now. Should one of them be what the others fail for, each is tried alone."""
        callers: list[Caller | ChatError]
        try:
            callers = self._node.auth.authenticate_all([token for _, token in batch])
        except ChatError as error:
            callers = [error] * len(batch)
        except Exception:
            if len(batch) > 1:
                for one in batch:
                    self._make([one])
                return
            logger.exception("A login could not be made")
            callers = [ChatError("internal")]
        for (session, _), caller in zip(batch, callers, strict=True):
            if not isinstance(caller, ChatError):
                self._ask(session, Admitted(caller.public_id, caller.login_id))
            else:
                self.end(session, CloseReason.BAD_TOKEN if caller.code.status < 500 else CloseReason.INTERNAL)

    def _ask(self, session: Session, admitted: Admitted) -> None:
        self._node.opening.ask(session, admitted)

    def _introduce(self, session: Session, command: Any) -> None:
        """Take the first frame of a client that came without a token."""
        if command.op != "auth":
            self._refuse(session, command.id, ChatError("not_authenticated"))
            return
        token, cursor = command.data.get("token"), command.data.get("cursor")
        try:
            admitted = self.named(token.removeprefix("Bearer ") if isinstance(token, str) else "")
        except ChatError as error:
            session.carrier.failure(command.id, error)
            self.end(session, CloseReason.BAD_TOKEN)
            return
        self._forget_nobody(session)
        session.cursor = Cursor.decode(cursor) if isinstance(cursor, str) else session.cursor
        if command.id is not None:
            session.carrier.reply(command.id, b"{}")
        self._ask(session, admitted)

    def _forget_nobody(self, session: Session) -> None:
        waiting = self._nobody.pop(session, None)
        if waiting is not None:
            self._per_address[waiting[1]] -= 1
            if not self._per_address[waiting[1]]:
                del self._per_address[waiting[1]]

    def _watch_the_door(self) -> None:
        while True:
            gevent.sleep(1.0)
            now = time.monotonic()
            for session in [session for session, (deadline, _) in self._nobody.items() if deadline < now]:
                self.end(session, CloseReason.AUTH_TIMEOUT)
            self._node.hub.flush()

    def _farewell(self, session: Session, reason: CloseReason, before: State) -> Event:
        data: dict[str, Any] = {"code": reason.code, "reason": reason.message}
        if reason.come_back:
            data["retryAfter"] = CARRY_ON
            # A client that did not take everything stands where it last proved to stand.
            if _took_everything(session, reason, before):
                data["cursor"] = self._node.cursor().encode()
        return Event.of("bye", data, USER, 0, logged=False)

    def _depart(self, session: Session, reason: CloseReason, before: State) -> None:
        node, caller = self._node, session.caller
        node.hub.leave(session)
        if before is State.OPENING:  # it was refused: nothing was handed over, nobody saw it come
            return
        taken_us = time.time_ns() // 1_000 if _took_everything(session, reason, before) else session.taken_us
        if taken_us:
            node.departures.note(caller.login_id, taken_us)
        node.presence.leave(caller.user_id, session.id, reason is CloseReason.LEFT or reason is CloseReason.LOGIN_ENDED)


def _took_everything(session: Session, reason: CloseReason, before: State) -> bool:
    """Tell whether a session that ends had caught up and proved that it took all that was handed over."""
    return before is State.LIVE and session.sent is None and session.proof is None and reason is not CloseReason.SLOW
