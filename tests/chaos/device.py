"""A device that remembers when it saw what: when it was there, what it was told of others, and what must not be."""

import threading
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from tests.chaos.field import Story
from tests.clients.lines import Line
from tests.clients.native import Client
from tests.clients.person import Person, Refused

__all__ = ["Device", "Stay", "Turn"]

FAREWELLS = {"restart", "going_away", "lost"}  # by which a server may end a session of a client that keeps the rules
PAUSE = 0.02  # seconds between two looks whether the absence is over


class Stay(NamedTuple):
    """From the first to the last of one line (seconds of the monotonic clock). `meant`: the device itself ended it."""

    begun: float
    ended: float
    meant: bool


class Turn(NamedTuple):
    """That somebody came or went, as this device was told."""

    at: float
    user: str
    online: bool


class Device(Client):
    """A client with a journal. `stays`: when it was there; `turns`: whom it heard come and go; `wrong`: findings."""

    def __init__(self, story: Story, name: str, person: Person, carrier: str, urls: Sequence[str]):
        self.name = name
        self.journal = Story(story)
        self.stays: list[Stay] = []
        self.turns: list[Turn] = []
        self.wrong: list[str] = []
        self._came: float | None = None
        self._means_to = False
        self._asleep = threading.Event()
        super().__init__(person, carrier, urls=urls, auto=True)

    def whereabouts(self) -> list[Stay]:
        """Return when it was there until now."""
        came = self._came
        return [*self.stays, *([Stay(came, time.monotonic(), False)] if came is not None else [])]

    def sleep(self) -> None:
        """Close the line and open none until `wake`."""
        self._asleep.set()
        self._end_line()

    def wake(self) -> None:
        """Come back."""
        self._asleep.clear()

    def go(self) -> None:
        """Close for good, as a browser does."""
        self._means_to = True
        self.leave()

    def vanish(self) -> None:
        """Be lost, and come back no more."""
        self._closed.set()
        self.cut()

    def move(self, carrier: str = "", url: str = "") -> None:
        """Go on elsewhere."""
        self._means_to = True
        super().move(carrier, url)

    def refresh(self) -> None:
        """Ask for everything that is lacking."""
        self._watch(super().refresh)

    def _end_line(self) -> None:
        self._means_to = True
        line = self._line
        if line is not None:
            line.close()

    def _take(self, frame: dict[str, Any]) -> None:
        self.journal.tell(str(frame))
        if self._came is None:
            self._came = time.monotonic()
        super()._take(frame)

    def _take_event(self, frame: dict[str, Any]) -> None:
        data = frame["data"]
        if frame["event"] == "presence":
            self.turns.append(Turn(time.monotonic(), data["userId"], data["online"]))
        elif frame["event"] == "bye" and data["code"] not in FAREWELLS:
            self.wrong.append(f"{self.name} was sent away: {data}")
        super()._take_event(frame)

    def _open(self) -> Line:
        self.journal.tell(f"opens {self.carrier} at {self.url} with {self.cursor}")
        line: Line = self._watch(super()._open)
        self.journal.tell("is open")
        return line

    def _come_back(self) -> Line | None:
        if self._came is not None:
            self.stays.append(Stay(self._came, time.monotonic(), self._means_to))
            self.journal.tell("the line is over")
        self._came, self._means_to = None, False
        while self._asleep.is_set() and not self._closed.wait(PAUSE):
            continue
        return super()._come_back()

    def _watch(self, ask: Any) -> Any:
        """Return an answer; a failure on the server's side, which a client gets over, is noted."""
        try:
            return ask()
        except Refused as refusal:
            if refusal.code == "internal":
                self.wrong.append(f"{self.name} was refused: {refusal.error}")
            raise
