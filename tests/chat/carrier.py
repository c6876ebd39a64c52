"""A carrier that keeps what it is given, for tests of what stands above the transports."""

from typing import Any

from chat.errors import ChatError, CloseReason
from chat.frames import Caller, Event
from chat.session import Session, State


class Carrier:
    """Keeps events, answers and endings. `owner` is the hub that is told of what waits to be flushed."""

    kind = "fake"

    def __init__(self, owner: Any = None, *, provable: bool = True):
        self.owner = owner
        self.provable = provable
        self.session: Session
        self.events: list[Event] = []
        self.answers: list[tuple[Any, Any]] = []
        self.pings = 0
        self.looks = 0
        self.flushes = 0
        self.paused = False
        self.is_live = False
        self.closed: tuple[CloseReason, Event | None] | None = None

    def event(self, event: Event) -> None:
        self.events.append(event)
        if self.owner is not None:
            self.owner.dirty.append(self)

    def reply(self, number: Any, data: bytes) -> None:
        self.answers.append((number, data))

    def failure(self, number: Any, error: ChatError) -> None:
        self.answers.append((number, error.code.name))

    def ping(self) -> None:
        self.pings += 1

    def look(self) -> None:
        self.looks += 1

    def flush(self) -> None:
        self.flushes += 1

    def live(self) -> None:
        self.is_live = True

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    def close(self, reason: CloseReason, farewell: Event | None) -> None:
        self.closed = (reason, farewell)

    def names(self) -> list[str]:
        return [event.name for event in self.events]

    def changes(self) -> list[int]:
        return [event.change for event in self.events]


def session_of(
    user_id: int, *, owner: Any = None, login: int = 1, now: float = 0.0, live: bool = True, provable: bool = True
) -> Any:
    """Return a session of a user over such a carrier; live unless told otherwise."""
    carrier = Carrier(owner, provable=provable)
    name = f"s{id(carrier):x}"
    session = Session(name, carrier, now, Caller(user_id, f"u{user_id}", login, name))
    carrier.session = session
    session.state = State.LIVE if live else State.OPENING
    return session
