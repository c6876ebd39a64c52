"""A small load: people who talk from many devices on mixed carriers, and send again what was not acked until it is.

Chance is seeded; what is random is what somebody says where and how fast, not what is checked afterwards.
"""

import random
import threading
from collections import Counter
from typing import Any

from tests.clients.crowd import CARRIERS, Crowd
from tests.clients.native import Client
from tests.clients.person import Lost, Person, Refused
from tests.deployment import wait_for

__all__ = ["Load"]

PAUSE = 0.15  # seconds, on the average, between two turns of a device
BURST = 4  # messages of a turn at most
AGAIN = {
    "overloaded",
    "unavailable",
    "going_away",
    "rate_limited",
    "internal",
}  # after which the same localId is to be sent again
PATIENCE = 60.0  # seconds in which everything must be acked once nothing new is said


class Talker:
    """One device that talks. `acks` counts; `refusals` by code."""

    def __init__(self, device: Client, places: list[dict[str, str]], chance: random.Random, ending: threading.Event):
        self.device = device
        self.acks = 0
        self.refusals: Counter[str] = Counter()
        self.error: Exception | None = None
        self._places, self._chance, self._ending = places, chance, ending
        self._said = 0
        self._old: list[dict[str, Any]] = []
        self._late = threading.Event()  # set when patience is over
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        try:
            while not self._ending.wait(self._chance.expovariate(1 / PAUSE)):
                self._say([self._message() for _ in range(self._chance.randint(1, BURST))])
                self._look_around()
        except Exception as error:  # noqa: BLE001 (told by `Load.stop`, in the test's own thread)
            self.error = error

    def _message(self) -> dict[str, Any]:
        """Return something new, or now and then something that was acked already."""
        if self._old and self._chance.random() < 0.1:
            return self._chance.choice(self._old)
        self._said += 1
        text = f"{self._said} of {self.device.person.id} on {self.device.carrier}"
        return {**self._chance.choice(self._places), "content": text, "localId": f"{id(self)}-{self._said}"}

    def _say(self, messages: list[dict[str, Any]]) -> None:
        """Send messages one after the other, and again, in their order, those that were not acked."""
        while messages:
            messages = self._unacked(messages)
            if messages and self._late.wait(0.1):
                raise AssertionError(
                    f"{self.device.person.id} on {self.device.carrier}: {len(messages)} not acked, {self.refusals}"
                )

    def _unacked(self, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
        posted = []
        try:
            for data in messages:
                posted.append(self.device.post("message.send", **data))
        except Lost:
            self.refusals["lost"] += 1
        left = [data for number, data in zip(posted, messages, strict=False) if not self._is_acked(number, data)]
        return left + messages[len(posted) :]

    def _is_acked(self, number: int, data: dict[str, Any]) -> bool:
        try:
            self.device.reply(number)
        except Lost:
            self.refusals["lost"] += 1
        except Refused as refusal:
            if refusal.code not in AGAIN:
                raise
            self.refusals[refusal.code] += 1
        else:
            self.acks += 1
            self._old.append(data)
            return True
        return False

    def _look_around(self) -> None:
        """Read what there is of a conversation, now and then."""
        known = {conversation for conversation, _ in list(self.device.entries)}
        if known and self._chance.random() < 0.3:
            try:
                self.device.ask("read", conversationId=self._chance.choice(sorted(known)))
            except Lost:
                self.refusals["lost"] += 1
            except Refused as refusal:
                if refusal.code not in AGAIN:
                    raise
                self.refusals[refusal.code] += 1

    def give_up(self) -> None:
        """Send nothing again any more."""
        self._late.set()


class Load:
    """`people` with `devices` each, in a group of all, a group of the first three, and in private."""

    def __init__(self, crowd: Crowd, *, people: int = 4, devices: int = 3, seed: int = 1):
        self.crowd = crowd
        chance = random.Random(seed)
        self.people = [crowd.person(place % len(crowd.urls)) for place in range(people)]
        self.groups = [self.people[0].group(*self.people[1:]), self.people[1].group(*self.people[:3])]
        self._ending = threading.Event()
        self.talkers = [
            self._talker(person, number, random.Random(chance.random()))
            for person in self.people
            for number in range(devices)
        ]

    def _talker(self, person: Person, number: int, chance: random.Random) -> Talker:
        place = self.people.index(person)
        device = self.crowd.device(
            person, CARRIERS[(place + number) % len(CARRIERS)], (place + number) % len(self.crowd.urls)
        )
        groups = self.groups if place < 3 else self.groups[:1]
        places = [{"conversationId": group} for group in groups] + [{"toUser": other.id} for other in self.people]
        return Talker(device, places, chance, self._ending)

    def start(self) -> "Load":
        """Let them talk."""
        for talker in self.talkers:
            talker.thread.start()
        return self

    @property
    def acks(self) -> int:
        """How many messages were acked until now."""
        return sum(talker.acks for talker in self.talkers)

    @property
    def refusals(self) -> Counter[str]:
        """What was answered instead, by code; `lost`: nothing was."""
        return sum((talker.refusals for talker in self.talkers), Counter())

    def go_on(self, more: int, seconds: float = PATIENCE) -> None:
        """Wait until so many more messages were acked."""
        goal = self.acks + more
        wait_for(lambda: self.acks >= goal or self._fail_early(), seconds, f"{more} more acks; {self.refusals}")

    def stop(self) -> None:
        """Let nobody say anything new, and wait until everything that was said is acked."""
        self._ending.set()
        for talker in self.talkers:
            talker.thread.join(PATIENCE)
            talker.give_up()
            talker.thread.join()
        self._fail_early()

    def _fail_early(self) -> None:
        for talker in self.talkers:
            if talker.error is not None:
                raise talker.error
