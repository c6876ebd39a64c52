"""The people of one test and their devices: made, compared with the database, and closed with no socket left open."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from tests.audit import unread_by_counting
from tests.checker import Witness, check, missed
from tests.clients.native import Client
from tests.clients.person import Lost, Person, Refused
from tests.ledger import Ledger, read_ledger

__all__ = ["CARRIERS", "HEALED", "Crowd"]

CARRIERS = ("websocket", "poll", "stream")
HEALED = 10.0  # seconds in which live delivery heals after any loss
LOOK = 0.1  # seconds between two looks at who lacks what


class Crowd:
    """Makes people and devices of the servers at `urls`. A context manager that closes all of them."""

    def __init__(self, urls: Sequence[str], database_url: str):
        self.urls = list(urls)
        self.people: list[Person] = []
        self.devices: list[Client] = []
        self._database_url = database_url

    def person(self, web: int = 0) -> Person:
        """Return a new user, whose REST calls go to that server."""
        person = Person(self.urls[web])
        self.people.append(person)
        return person

    def persons(self, count: int, web: int = 0) -> list[Person]:
        """Return some of them."""
        return [self.person(web) for _ in range(count)]

    def device(self, person: Person, carrier: str = "websocket", web: int = 0, **more: Any) -> Client:
        """Return a new device that has loaded what there is, as a client does after it has connected.

        It comes back by itself, to the next server when its own does not answer.
        """
        urls = [*self.urls[web:], *self.urls[:web]]
        device = Client(person, carrier, urls=urls, **{"auto": True, **more})
        self.devices.append(device)
        asked_again(device.refresh, HEALED)
        return device

    def ledger(self) -> Ledger:
        """Return what the database holds of everything that these people are or were in."""
        return read_ledger(self._database_url, [person.id for person in self.people])

    def witnesses(self) -> list[Witness]:
        """Return what devices and REST callers testify; who is not there need not have everything."""
        rest = [
            Witness(f"{person.id} over REST", person.id, acked=list(person.acked), returned=False)
            for person in self.people
        ]
        return rest + [device.witness(returned=not device.left) for device in self.devices]

    def settle(self, seconds: float = HEALED) -> float:
        """Wait until every device has what the database holds; return how long it took. Fails when not in time."""
        ledger = self.ledger()
        begun = time.monotonic()
        while True:
            here = [device for device in self.devices if not device.left]
            away = [device for device in here if not device.online]
            lacking = [violation for device in here for violation in missed(ledger, device.witness())]
            if not lacking and not away:
                return time.monotonic() - begun
            assert time.monotonic() < begun + seconds, f"after {seconds} s {len(away)} devices are away, {lacking}"
            time.sleep(LOOK)

    def check(self, seconds: float = HEALED) -> None:
        """Fail unless, after some seconds at most, all is as promised, and unread is told as counting gives it."""
        self.settle(seconds)
        ledger = self.ledger()
        found = check(ledger, self.witnesses())
        assert not found, "\n".join(f"{kind}: {text}" for kind, text in found[:50])
        for person in self.people:
            told, counted = asked_again(person.unread, seconds), unread_by_counting(ledger, person.id)
            assert told == counted, f"{person.id} is told that {told} are unread, it is {counted}"

    def close(self) -> None:
        """Close every device and every person's connections."""
        for device in self.devices:
            device.leave()
        for device in self.devices:
            device.close()
        for person in self.people:
            person.close()

    def __enter__(self) -> "Crowd":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def asked_again(ask: Callable[[], Any], seconds: float) -> Any:
    """Return an answer, asking again while a server that has just come back does not know yet."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return ask()
        except (Lost, Refused):
            if time.monotonic() > deadline:
                raise
        time.sleep(LOOK)
