"""This process: owns the hub and what runs beside it, runs commands, tells what was committed, and drains.

Nothing connects before `start`, which the first request or the web server's worker calls in the process that serves.
"""

import logging
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import gevent
from gevent.event import AsyncResult
from marshmallow import ValidationError
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from chat import media
from chat.auth import Auth
from chat.bus import LOGIN_ENDED, Bus
from chat.catchup import CatchUp
from chat.commands import Verb, verbs
from chat.cursor import Cursor
from chat.departures import Departures
from chat.directory import Directory
from chat.dispatch import Dispatch
from chat.durability import check
from chat.errors import ChatError, CloseReason
from chat.frames import USER, Caller, Command, Event
from chat.hub import Hub
from chat.idempotency import once
from chat.limits import Buckets, TokenBucket
from chat.log import Log
from chat.measures import measure
from chat.media_address import sign_with
from chat.messages import Sent
from chat.metrics import Metrics
from chat.models import Deployment
from chat.opening import Opening
from chat.pages import Pages
from chat.positions import Positions
from chat.postgres import Lost
from chat.presence import Presence
from chat.pulse import Pulse
from chat.schemas import refusal
from chat.sending import Sending
from chat.session import State
from chat.sessions import Sessions
from chat.stores import database_pool, redis_pool
from chat.tail import Tail
from chat.tallies import Tallies
from chat.times import wire_time_us
from chat.transaction import Transaction, run_in_transaction
from chat.watchers import watch_event
from chat.writer import Writer

__all__ = ["Node"]

logger = logging.getLogger(__name__)
KEY_CHARACTERS = 64  # of an Idempotency-Key or localId
HEARD_SECONDS = 1.0  # an event may take to every process; longer, and Redis is as good as away
SEND_SECONDS = 15.0  # a request waits for the writer, which gives up after 10


class Node:
    """One process of the server."""

    def __init__(self, config: Mapping[str, Any]):
        self.config = config
        self.process_id = secrets.token_hex(6)
        self.engine = database_pool(config)
        self.redis = redis_pool(config)
        self.auth = Auth(self, lambda: time.monotonic() - self.tail.began)
        self.directory = Directory(self.engine)
        self.departures = Departures(self.engine)
        self.writer = Writer(config["DATABASE_URL"], config, self.tell)
        sign_with(config)
        self.sending = Sending(self.directory, config, self._uploaded)
        self.log = Log(self.redis, config, self.process_id)
        self.tail = Tail(config["DATABASE_URL"], lambda: self.hub, self.log, self._logins_ended, self._user_behind)
        self.hub = Hub(self.tail.fill, self.tail.read_members)
        self.tail.origin = self.writer.origin
        self.catchup = CatchUp(config["DATABASE_URL"], self.log, config)
        self.sessions = Sessions(self)
        self.opening = Opening(config["DATABASE_URL"], self.hub, self.sessions.opened, self.sessions.refused)
        self.positions = Positions(config["DATABASE_URL"], self.tell)
        self.writer.passed = self.positions.passed
        self.tallies = Tallies(config["DATABASE_URL"], self.redis, config, lambda: self.log.epoch is not None)
        self.pages = Pages.over(config, self.redis, lambda: self.log.epoch is not None, lambda: self.generation)
        self.presence = Presence(self.redis, config, self.process_id, self.tell, self.directory, self.engine)
        verbs()  # found now, and not while the first client waits
        self._floods = Buckets(config["MESSAGE_RATE"], config["MESSAGE_BURST"])
        bucket = partial(TokenBucket, config["COMMAND_RATE"], config["COMMAND_BURST"])
        self.dispatch = Dispatch(self.hub, self.writer, self.sending, self.run, self._flood, bucket, self.sessions.end)
        pings, idle = config["PING_SECONDS"], config["IDLE_HOURS"]
        self.pulse = Pulse(self.hub, pings, idle, self.sessions.end, self.presence.alive, self.cursor_event)
        self.bus = Bus(
            self.redis, config, self.process_id, self.log, self.hub, self.tail,
            self._logins_ended, self.sessions.posted, self.presence.heard_again,
        )  # fmt: skip
        self.log.unsaid, self.presence.deliver = self.presence.unsaid, self.bus.deliver
        self.metrics = Metrics(config["DATA_DIR"])
        measure(self)
        self.sessions_opened = 0
        self.storage_is_there: Callable[[], bool] = lambda: True  # the upload service knows more
        self.generation = ""
        self._greenlets: dict[str, Any] = {}
        self.session_id, self.admit, self.open = self.sessions.session_id, self.sessions.admit, self.sessions.open
        self.received, self.proved, self.end = self.sessions.received, self.sessions.proved, self.sessions.end

    # Life.

    def start(self) -> None:
        """Begin to work in this process; once. A database that is away is waited for."""
        if self._greenlets:
            return
        parts = (
            self.writer, self.log, self.tail, self.opening, self.positions, self.tallies, self.pages, self.presence,
            self.dispatch, self.pulse, self.bus, self.departures, self.sessions, self.metrics,
        )  # fmt: skip
        loops = {"generation": self._learn_generation}
        for part in parts:
            loops |= part.loops
        self._greenlets = {name: gevent.spawn(self._supervise, name, body) for name, body in loops.items()}

    @property
    def draining(self) -> bool:
        """Whether this process is leaving."""
        return self.sessions.draining

    def _learn_generation(self) -> None:
        while not self.generation:
            try:
                with self.engine.connect() as connection:
                    check(connection)
                    self.generation = connection.execute(select(Deployment.generation)).scalar_one()
            except SQLAlchemyError as error:
                logger.warning("The database does not say what it is: %s", error.__class__.__name__)
                gevent.sleep(0.5)

    def drain(self, timeout: float) -> None:
        """End the sessions with a come-back, finish what was taken, and write what is still in memory."""
        end = time.monotonic() + timeout
        self.sessions.end_all(CloseReason.RESTART, timeout / 2)
        while not (self.writer.idle() and self.log.settled()) and time.monotonic() < end:
            gevent.sleep(0.01)
        self.positions.stop()
        self.presence.stop()
        self.departures.write()

    def _supervise(self, name: str, body: Callable[[], None]) -> None:
        """Run a greenlet's body; one that fails is logged and begins anew, so that nothing dies quietly."""
        pause = 0.1
        while True:
            begun = time.monotonic()
            try:
                body()
                return
            except Exception:
                logger.exception("%s failed and begins anew", name)
            pause = 0.1 if time.monotonic() - begun > 10 else min(pause * 2, 5.0)
            gevent.sleep(pause)

    # Commands.

    def execute(self, caller: Caller, command: Command) -> Any:
        """Run a command from outside a session (REST) and return its data. Raises ChatError."""
        return self.run(caller, command)

    def run(self, caller: Caller, command: Command) -> Any:
        """Run a command in its unit of work and return its data. Raises ChatError."""
        verb = verbs().get(command.op)
        if verb is None:
            raise ChatError("unknown_verb", details={"op": command.op})
        if verb.name == "message.send":
            return verb.run(self, caller, command.data)
        try:
            data = verb.schema().load(command.data)
        except ValidationError as error:
            raise refusal(error) from error
        if verb.direct:
            return verb.run(self, caller, data)
        return run_in_transaction(self.engine, self, partial(self._within, verb, caller, command, data))

    def _within(self, verb: Verb, caller: Caller, command: Command, data: dict[str, Any], tx: Transaction) -> Any:
        key = command.idempotency_key or command.data.get("localId")
        if verb.creates and isinstance(key, str) and key:
            return once(
                tx, caller, command._replace(idempotency_key=key[:KEY_CHARACTERS]), lambda: verb.run(tx, caller, data)
            )
        return verb.run(tx, caller, data)

    def send(self, caller: Caller, data: dict[str, Any]) -> Sent:
        """Write a message and wait until it is committed or refused. Raises ChatError."""
        waiter: AsyncResult = AsyncResult()
        message = self.sending.compose(caller, data, waiter.set)
        self.dispatch.check_flood(caller, message, bool(data.get("localId")))
        self.writer.submit(message)
        try:
            answer = waiter.get(timeout=SEND_SECONDS)
        except gevent.Timeout as late:
            raise ChatError("unavailable", retry_after=2) from late
        if isinstance(answer, ChatError):
            raise answer
        return answer  # type: ignore[no-any-return]

    def last_handed(self, caller: Caller, conversation: int) -> int | None:
        """Return the last entry of a conversation that the caller's session was handed; None if nothing tells."""
        session = self.hub.sessions.get(caller.session_id)
        audience = self.hub.audiences.get(conversation)
        if (
            session is None
            or audience is None
            or session.state is not State.LIVE
            or caller.user_id not in audience.users
        ):
            return None
        return audience.seq or None

    def _uploaded(self, user_id: int, name: str) -> media.Attachment | None:
        return run_in_transaction(self.engine, self, lambda tx: media.attachment(tx, user_id, name))

    def watch(self, caller: Caller, watched: Iterable[int]) -> None:
        """Make the caller's session a watcher of these users, wherever it is. It hears all that is told from now on.

        Processes hear the same events in the same order: our own having come back, it stands before what is to come.
        """
        event = watch_event(caller, watched)
        if event.origin in self.hub.sessions:
            self.hub.offer(event)
            return
        self.tell([event])
        end = time.monotonic() + HEARD_SECONDS
        while not event.n and self.log.epoch and time.monotonic() < end:
            gevent.sleep(0.002)

    def _flood(self, caller: Caller) -> float:
        return self._floods.take(caller.user_id, 1.0, time.monotonic())

    # Telling.

    def tell(self, events: list[Event]) -> None:
        """Deliver committed events here and publish them to the other processes."""
        if not events:
            return
        offer = self.hub.offer
        for event in events:
            offer(event)
        self.bus.publish(events)
        self.hub.flush(_breathe)

    def enqueue(self, task: str, arguments: tuple[Any, ...]) -> None:
        """Hand a task to Celery, by name."""
        from tasks.queue import send

        send(task, arguments)

    def end_login(self, login_id: int) -> None:
        """End a login's sessions here and on every other process."""
        self.bus.publish([Event.of(LOGIN_ENDED, {"login": login_id}, USER, 0, logged=False)])
        self._logins_ended([login_id])

    def cursor(self) -> Cursor:
        """Return where this process stands: whoever is live here has had everything up to it."""
        return Cursor(
            self.generation, self.log.epoch or "", self.bus.n(), self.tail.looked_us or time.time_ns() // 1_000
        )

    def cursor_event(self) -> Event:
        """Return the event that tells it."""
        return Event.of("cursor", {"cursor": self.cursor().encode()}, USER, 0, logged=False)

    def wire_now(self) -> str:
        """Return the time as it stands on the wire."""
        return wire_time_us(time.time_ns() // 1_000)

    def _logins_ended(self, logins: Iterable[int]) -> None:
        for login_id in logins:
            self.auth.forget(login_id)
            self.sessions.end_login(login_id)
        self.hub.flush()

    def _user_behind(self, user_id: int, _change: int) -> None:
        """What concerns only this user did not come through Redis: tell it from the database. Raises Lost."""
        since = Cursor(self.generation, "", 0, self.tail.looked_us)
        try:
            missed = self.catchup.positions(user_id, since)
        except ChatError as error:
            raise Lost(str(error)) from error
        for event in missed:
            self.hub.offer(event)


def _breathe() -> None:
    gevent.sleep(0)
