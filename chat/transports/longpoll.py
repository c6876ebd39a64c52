"""Long-poll: `GET /api/v1/poll`. A chain of polls is one session; commands go over REST.

Nothing of a chain has to be in this process: the cursor tells any worker what the client has. But while the chain stays
here, its session goes on collecting between two polls, and the next poll is answered from memory.
"""

import random
import re
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import gevent
from flask import Flask, Response, current_app, request

from chat.cursor import NONCE, Cursor
from chat.errors import ChatError, CloseReason
from chat.frames import Caller
from chat.origins import cors_headers, patterns_of
from chat.rest import SESSION, answer, caller, describe, loaded
from chat.schemas import Text, WholeNumber, WireSchema
from chat.session import Session, State
from chat.sessions import Admitted
from chat.shortcut import Answer, add_shortcut
from chat.transports.chain import Chain
from chat.transports.deadlines import Deadlines
from chat.transports.pollline import PollLine

__all__ = ["Polls", "mount"]

LINGER = 35.0  # seconds a chain is kept between two polls: a lease
JITTER = 0.12  # share of its time by which a poll may end early, so that not all come back at once: 3 s of 25
OPEN_SECONDS = 12.0  # for the database to let a session in


DEFAULT = 25  # seconds for which a poll asks to be held that says nothing of it
# The query of most polls; other spellings of it take the long way.
PLAIN = re.compile(r"cursor=([A-Za-z0-9_.-]+)(?:&timeout=([0-9]|[1-5][0-9]|60))?")


class PollSchema(WireSchema):
    """What a poll takes: the cursor of the answer before, and how long it may be held, in seconds."""

    cursor = Text(4_096, load_default="")
    timeout = WholeNumber(0, 60, load_default=DEFAULT)


class Polls:
    """The chains of this process."""

    def __init__(self, node: Any):
        self._node = node
        self._chains: dict[str, Chain] = {}
        self._of_login: dict[int, list[Chain]] = {}
        self._sweeping: Any = None
        self.deadlines = Deadlines()

    def chain(self, cursor: Cursor | None, login_id: int) -> Chain | None:
        """Return the chain that a cursor goes on with, if it is here, of this login, and still complete."""
        chain = self._chains.get(cursor.session_id.partition(NONCE)[0]) if cursor else None
        if chain is None or cursor is None or chain.login_id != login_id:
            return None
        return self._kept(chain, chain.acknowledge(cursor))

    def again(self, chain: Chain, login_id: int) -> Chain | None:
        """Return the chain, gone on with the cursor that it told last, if it is still here and complete."""
        if chain.login_id != login_id or chain.session.id not in self._chains:
            return None
        return self._kept(chain, chain.take(chain.told.place, chain.told.time_us))

    def _kept(self, chain: Chain, goes_on: bool) -> Chain | None:
        if goes_on and chain.session.state is not State.CLOSED:
            return chain
        self._let_go(chain)
        return None

    def begin(self, admitted: Admitted, cursor: Cursor | None, address: str) -> Chain:
        """Begin a chain here, for a client that comes for the first time or from another worker. Raises ChatError."""
        chain = Chain(self._node, cursor, admitted.login_id)
        chain.session = Session(self._node.session_id(), chain, time.monotonic())
        self._chains[chain.session.id] = chain
        self._of_login.setdefault(chain.login_id, []).append(chain)
        self._node.open(chain.session, admitted, "" if cursor is None else cursor.encode(), address)
        self._sweep_soon()
        if not chain.opened.wait(OPEN_SECONDS):
            self._let_go(chain)
            raise ChatError("overloaded", retry_after=1)
        self._thin_out(chain.login_id)
        return chain

    def count(self, login_id: int) -> int:
        """Return how many polls of a login wait here."""
        chains = self._of_login.get(login_id, ())
        return sum([chain.waiting for chain in chains]) if chains else 0

    def _thin_out(self, login_id: int) -> None:
        """Let go of the chains that a client leaves behind whose polls go now to this process, now to that."""
        idle = [chain for chain in self._of_login.get(login_id, ()) if not chain.waiting]
        for chain in sorted(idle, key=lambda chain: chain.polled)[: -self._node.config["POLLS_PER_LOGIN"]]:
            self._let_go(chain)

    def _let_go(self, chain: Chain) -> None:
        if self._chains.pop(chain.session.id, None) is not None:
            self._of_login[chain.login_id].remove(chain)
            if not self._of_login[chain.login_id]:
                del self._of_login[chain.login_id]
        if chain.session.state is not State.CLOSED:
            self._node.end(chain.session, CloseReason.LOST)

    def _sweep_soon(self) -> None:
        if self._sweeping is None:
            self._sweeping = gevent.spawn(self._sweep)

    def _sweep(self) -> None:
        while self._chains:
            gevent.sleep(1.0)
            limit = time.monotonic() - LINGER
            for chain in [chain for chain in self._chains.values() if not chain.waiting and chain.polled < limit]:
                self._let_go(chain)
        self._sweeping = None


def mount(app: Flask) -> None:
    """Add `GET /api/v1/poll` to the application."""
    polls = Polls(app.extensions["chat.node"])

    @app.get("/api/v1/poll")
    @describe("Wait for events.", request=PollSchema, errors=("too_many_sessions",))
    def poll() -> Response:
        node, who = current_app.extensions["chat.node"], caller()
        asked = loaded(PollSchema)
        cursor = Cursor.decode(asked["cursor"])
        if polls.count(who.login_id) >= app.config["POLLS_PER_LOGIN"]:
            raise ChatError("too_many_sessions", retry_after=1)
        if cursor is not None:
            _prove(node, who.user_id, {conversation: seq for conversation, (_, seq) in cursor.seen.items()})
            if node.draining:  # on a connection that was kept, and ends with this answer: the next poll goes elsewhere
                return answer(b'{"events":[],"cursor":"%b"}' % asked["cursor"].encode(), 200)
        chain = polls.chain(cursor, who.login_id)
        if chain is None:
            chain = polls.begin(_admitted(node, who), cursor, request.remote_addr or "")
        chain.wait(_seconds(node, asked["timeout"]) if cursor else 0.0, request.environ.get("chat.socket"))
        told = answer(_polled(node, chain), 200)
        told.headers[SESSION] = chain.session.id  # a chain begun with a cursor gets no hello
        return told

    quickly = partial(_quickly, polls, patterns_of(app.config))
    add_shortcut(app, "/api/v1/poll", quickly, query=True)


def _quickly(polls: Polls, patterns: Sequence[str], node: Any, who: Caller, environ: dict[str, Any]) -> Answer | None:
    """Answer a plain poll; if it has to wait, its connection is taken out of the web server."""
    asked = PLAIN.fullmatch(environ["QUERY_STRING"])
    timeout = int(asked[2] or DEFAULT) if asked is not None else 0
    chain = _goes_on(polls, node, who, asked[1]) if asked is not None else None
    if chain is None:
        return None
    seconds = _seconds(node, timeout)
    if chain.ready or not PollLine.may_take(environ):
        chain.wait(seconds, environ.get("chat.socket"))
        return Answer(_polled(node, chain), ((SESSION, chain.session.id),))
    key = node.auth.key(environ["HTTP_AUTHORIZATION"])

    def go_on(line: PollLine) -> bool:
        caller = node.auth.kept(key)
        chain = _again(polls, node, caller, line.last) if caller is not None else None
        if chain is not None:
            line.wait_for(chain, _seconds(node, timeout))
        return chain is not None

    cross = cors_headers(environ.get("HTTP_ORIGIN"), environ.get("HTTP_HOST"), patterns)
    PollLine(environ, cross, go_on, partial(_polled, node), polls.deadlines).wait_for(chain, seconds)
    return Answer(b"")  # the line answers


def _goes_on(polls: Polls, node: Any, who: Caller, text: str) -> Chain | None:
    """Return the chain that a plain poll with this cursor goes on with, if it is here."""
    cursor = Cursor.decode(text)
    if cursor is None or polls.count(who.login_id) >= node.config["POLLS_PER_LOGIN"]:
        return None
    chain = polls.chain(cursor, who.login_id)
    if chain is not None:
        _prove(node, who.user_id, {conversation: seq for conversation, (_, seq) in cursor.seen.items()})
    return chain


def _again(polls: Polls, node: Any, who: Caller, last: Chain) -> Chain | None:
    """Return the chain of the poll before on this connection, whose answer's cursor came back, if it is still here.

    That cursor need not be read: what it says of other conversations was proved by those before it.
    """
    if polls.count(who.login_id) >= node.config["POLLS_PER_LOGIN"]:
        return None
    chain = polls.again(last, who.login_id)
    if chain is not None:
        _prove(node, who.user_id, last.told.brought)
    return chain


def _seconds(node: Any, asked: int) -> float:
    longest: float = min(asked, node.config["POLL_SECONDS"])
    return longest * random.uniform(1 - JITTER, 1)  # noqa: S311


def _polled(node: Any, chain: Chain) -> bytes:
    """Return an answer's body: what the chain has."""
    frames = chain.answer(node.config["POLL_BYTES"])
    return b'{"events":[%b],"cursor":"%b"}' % (b",".join(frames), chain.told.cursor.encode())


def _admitted(node: Any, who: Caller) -> Admitted:
    if node.draining or not node.generation:
        raise ChatError("going_away", retry_after=1)
    return Admitted(who.public_id, who.login_id)


def _prove(node: Any, user_id: int, handed: Mapping[int, int]) -> None:
    """A cursor that comes back proves that the client has what it stands behind: up to which entry, by conversation."""
    for conversation, seq in handed.items():
        if seq:
            node.positions.delivered(user_id, conversation, seq)
