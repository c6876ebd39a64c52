"""One connected client: who it is, how far it is, and what it asked for. Everything for a client goes through here.

A session is *opening* until the database has told who may be let in, *catching* up while it is handed what it missed,
then *live*, then *closed*. It knows its carrier only as something that takes events and answers.
"""

from collections import deque
from enum import IntEnum
from typing import Any, Protocol

from chat.cursor import Cursor
from chat.errors import ChatError, CloseReason
from chat.frames import CONVERSATION, WATCHERS, Caller, Command, Event

__all__ = ["HELD", "UNANSWERED", "Carrier", "Session", "State"]

UNANSWERED = 32  # commands of a session at which it is no longer read: one flooder took 90 % without
HELD = 512  # live events kept while a session catches up; beyond, it reads on instead


class State(IntEnum):
    """How far a session is; it only ever moves on."""

    OPENING = 0
    CATCHING = 1
    LIVE = 2
    CLOSED = 3


class Carrier(Protocol):
    """What a session needs of a transport. Nothing here waits."""

    kind: str
    provable: bool  # a ping is answered, and the answer proves that all before it was taken

    def ping(self) -> None:
        """Ask for a sign of life behind everything that was taken so far."""

    def look(self) -> None:
        """Look for a sign of life after a ping, where the client itself gives none."""

    def event(self, event: Event) -> None:
        """Take an event for the client."""

    def reply(self, number: Any, data: bytes) -> None:
        """Take the answer (encoded JSON) to the command with this number."""

    def failure(self, number: Any, error: ChatError) -> None:
        """Take the refusal of the command with this number."""

    def flush(self) -> None:
        """Send what was taken."""

    def live(self) -> None:
        """The session has caught up."""

    def pause(self) -> None:
        """Read no further commands."""

    def resume(self) -> None:
        """Read commands again."""

    def close(self, reason: CloseReason, farewell: Event | None) -> None:
        """Say `farewell`, close with the reason's number, and let go of the client soon."""


class Session:
    """One connection or poll chain of a login."""

    __slots__ = (
        "asked",
        "asked_us",
        "bucket",
        "busy",
        "caller",
        "carrier",
        "commanded",
        "commands",
        "cursor",
        "heard",
        "held",
        "id",
        "overheard",
        "patience",
        "paused",
        "pending",
        "pending_conversation",
        "proof",
        "sent",
        "state",
        "taken",
        "taken_us",
        "turns",
        "watching",
    )

    def __init__(self, session_id: str, carrier: Carrier, now: float, caller: Caller | None = None):
        self.id = session_id
        self.carrier = carrier
        self.caller: Caller = caller  # type: ignore[assignment]  # set before the session leaves OPENING
        self.state = State.OPENING
        self.cursor: Cursor | None = None
        self.held: list[Event] | None = None
        self.turns: dict[int, Event] | None = None  # the last that came meanwhile of each user who came or went
        self.overheard = False  # more live events came than `held` keeps
        self.commands: deque[Command] | None = None
        self.busy = False  # a command that may wait is being run
        self.paused = False  # too many commands are unanswered: no more are read
        self.pending = 0  # messages given to the writer and not answered
        self.pending_conversation: object = None
        self.sent: dict[int, int] | None = None  # highest seq handed over since the last proof, by conversation
        self.proof: dict[int, int] | None = None  # the same at the last ping; its pong proves it
        self.heard = self.commanded = now  # monotonic time of the last sign of life, and of the last command
        self.asked = 0.0  # the same of the last ping
        self.asked_us = 0  # wall clock of the ping that is to prove something, in microseconds
        self.taken_us = 0  # wall clock up to which everything handed over was proved taken
        self.taken: Any = None  # called once when the next proof comes (catching up waits for it)
        self.bucket: Any = None
        self.patience: Any = None  # with what is refused
        self.watching: set[int] | None = None

    def push(self, event: Event) -> None:
        """Hand over an event, or keep it while the session still catches up."""
        if self.state is State.LIVE:
            self.hand_over(event)
        elif self.state is State.CATCHING:
            self._keep(event)

    def hand_over(self, event: Event) -> None:
        """Give an event to the carrier, and remember what a sign of life will prove."""
        if event.seq and event.scope == CONVERSATION:
            if self.sent is None:
                self.sent = {}
            self.sent[event.target] = event.seq
        elif event.told:
            self.sent = self.sent or {}
            self.sent.update((conversation, seq) for conversation, _, seq in event.told)
        self.carrier.event(event)

    def _keep(self, event: Event) -> None:
        if not event.logged:
            self._keep_turn(event)
            return
        if self.held is None:
            self.held = []
        if len(self.held) < HELD:
            self.held.append(event)
        else:
            self.overheard = True

    def _keep_turn(self, event: Event) -> None:
        """Keep who came or went: nobody would tell it again. Of what else is momentary nothing is kept."""
        if event.scope == WATCHERS:
            self.turns = self.turns or {}
            if event.target in self.turns or len(self.turns) < HELD:
                self.turns[event.target] = event

    @property
    def unanswered(self) -> int:
        """Commands taken and not yet answered."""
        return self.pending + len(self.commands or ()) + self.busy
