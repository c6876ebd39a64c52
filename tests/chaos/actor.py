"""One device with its script: it does what the plan says, again where it was not answered, and notes what is wrong.

Here is what it says; what else it does is in errands.py.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any

from tests.chaos.device import Device
from tests.chaos.field import Story
from tests.chaos.plan import Act
from tests.clients.person import Lost, Person, Refused
from tests.uploads.pictures import encoded

__all__ = ["AGAIN", "Actor", "Scene", "finish"]

AGAIN = {"overloaded", "unavailable", "going_away", "rate_limited", "too_many_sessions"}
OUTSIDE = {"not_a_member", "muted"}  # who was put out, or silenced, may do nothing there
PAUSE = 0.1  # seconds before something is said again
PATIENCE = 30.0  # seconds after which, with everything healed, what was said has to be answered
AT_ONCE = 20  # messages of a flood that do not wait for each other: fewer than a connection may have unanswered
SIZES = ((60, 40), (400, 300))  # of images: one whose thumbnail is made at once, one that Celery makes
Errand = Callable[["Actor", Act], None]


class Scene:
    """What all actors share: who there is, the groups, when it began, and whether it is over."""

    def __init__(self, people: list[Person], groups: list[str], urls: Sequence[str], story: Story):
        self.people, self.groups, self.urls, self.story = people, groups, list(urls), story
        self.refused: list[tuple[str, str]] = []  # (sender, content) of what must not be there in the end
        self.gone: dict[str, float] = {}  # who went for good, and when
        self.floods: dict[int, threading.Event] = {}  # by seat: set when all of it is acked
        self.over = threading.Event()  # nothing new is said
        self.late = threading.Event()  # what was not answered by now, never will be


class Actor:
    """Plays one device's acts in a thread. `wrong`: what must not have been answered; `refusals` counts by code."""

    def __init__(self, device: Device, seat: int, acts: Sequence[Act], scene: Scene, errands: Mapping[str, Errand]):
        self.device, self._acts, self.scene = device, acts, scene
        self.acks = 0
        self.refusals: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.high: dict[str, int] = {}  # the highest acked seq, by conversation
        self.founded: list[str] = []  # groups
        self._sent: list[dict[str, Any]] = []  # with a localId, and acked
        self._said = 0
        self._flooded = scene.floods.setdefault(seat, threading.Event())
        self._doing: dict[str, Callable[[Act], None]] = {
            "send": self._send, "burst": self._burst, "send bare": self._send_bare, "image": self._image,
            "resend": self._resend, "conflict": self._conflict, "flood": self._flood,
            **{verb: partial(errand, self) for verb, errand in errands.items()},
        }  # fmt: skip
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        for act in self._acts:
            if self.scene.over.wait(max(0.0, act.at - self.scene.story.seconds())):
                return
            if self.device.left:
                return
            try:
                self._doing[act.verb](act)
            except Exception as error:  # noqa: BLE001 (a finding; the other acts go on)
                self.accuse(f"{act}: {error!r}")

    def accuse(self, text: str) -> None:
        """Note something that must not be."""
        self.wrong.append(f"{self.device.name}: {text}")
        self.scene.story.tell(f"{self.device.name} WRONG {text}")

    def _place(self, act: Act) -> dict[str, str]:
        number = int(act.place[1:])
        if act.place[0] == "u":
            return {"toUser": self.scene.people[number].id}
        return {"conversationId": self.scene.groups[number]}

    def conversation(self, act: Act) -> str:
        """Return an act's conversation; of a private one only where something was heard of it. Empty: nothing was."""
        if act.place[0] == "g":
            return self.scene.groups[int(act.place[1:])]
        peers = {self.device.person.id, self.scene.people[int(act.place[1:])].id}
        for (where, _), entry in self.device.entries.copy().items():
            if where[0] == "p" and entry["senderId"] in peers:
                return where
        return ""

    # Messages.

    def _message(self, act: Act) -> dict[str, Any]:
        self._said += 1
        name = f"{self.device.name}-{self._said}"
        return {**self._place(act), "content": f"{name} of {self.device.person.id}", "localId": name}

    def _send(self, act: Act) -> None:
        self.deliver([self._message(act)], OUTSIDE)

    def _burst(self, act: Act) -> None:
        self.deliver([self._message(act) for _ in range(act.number)], OUTSIDE)

    def _flood(self, act: Act) -> None:
        """Write more than somebody who is away is handed in one batch."""
        messages = [self._message(act) for _ in range(act.number)]
        while messages:
            self.deliver(messages[:AT_ONCE], OUTSIDE)
            messages = messages[AT_ONCE:]
        self._flooded.set()

    def _image(self, act: Act) -> None:
        data = image(*SIZES[act.number % len(SIZES)])
        media = self.attempt(lambda: self.device.person.upload(data, self.scene.urls[act.web]), set())
        if media:
            self.deliver([{**self._message(act), "type": "image", "mediaId": media["id"]}], OUTSIDE)

    def _resend(self, act: Act) -> None:
        """Whoever resends what was acked gets the same answer for ever, even where they were put out meanwhile."""
        if self._sent:
            self.deliver([self._sent[act.number % len(self._sent)]], set())

    def deliver(self, messages: list[dict[str, Any]], allowed: set[str]) -> None:
        """Send messages one behind the other, and again, in their order, those that were not answered."""
        while messages:
            messages = self._unanswered(messages, allowed)
            if messages and self.scene.late.wait(PAUSE):
                self.accuse(f"{len(messages)} were never answered: {messages[0]}")
                return

    def _unanswered(self, messages: list[dict[str, Any]], allowed: set[str]) -> list[dict[str, Any]]:
        posted = []
        try:
            for data in messages:
                posted.append(self.device.post("message.send", **data))
        except Lost:
            self.refusals["lost"] += 1
        left = [
            data for number, data in zip(posted, messages, strict=False) if not self._is_answered(number, data, allowed)
        ]
        return left + messages[len(posted) :]

    def _is_answered(self, number: int, data: dict[str, Any], allowed: set[str]) -> bool:
        try:
            message = self.device.reply(number)
        except Lost:
            self.refusals["lost"] += 1
            return False
        except Refused as refusal:
            self.refusals[refusal.code] += 1
            if refusal.code not in AGAIN | allowed:
                self.accuse(f"{data} was refused: {refusal.error}")
            if refusal.code in allowed:
                self.scene.refused.append((self.device.person.id, data["content"]))
            return refusal.code not in AGAIN
        self.acks += 1
        self._sent.append(data)
        self._note(message)
        return True

    def _note(self, message: dict[str, Any]) -> None:
        where = message["conversationId"]
        self.high[where] = max(message["seq"], self.high.get(where, 0))

    def _send_bare(self, act: Act) -> None:
        message = self._message(act)
        del message["localId"]
        answer = self.attempt(lambda: self.device.ask("message.send", **message), OUTSIDE, message["content"])
        if answer:
            self.acks += 1
            self._note(answer)

    def _conflict(self, act: Act) -> None:
        if self._sent:
            other = {**self._sent[act.number % len(self._sent)], "content": "something else"}
            if self.attempt(lambda: self.device.ask("message.send", **other), {"local_id_conflict"}):
                self.accuse(f"{other} was acked")

    def insist(self, ask: Callable[[], Any], allowed: set[str]) -> Any:
        """Ask until there is an answer, and return it; None if it may not be. What is asked must bear repetition."""
        while True:
            before = sum(self.refusals[code] for code in allowed)
            answer = self.attempt(ask, allowed)
            if answer is not None or sum(self.refusals[code] for code in allowed) > before:
                return answer
            if self.scene.late.wait(PAUSE):
                self.accuse("something that was asked again and again was never answered")
                return None

    def attempt(self, ask: Callable[[], Any], allowed: set[str], content: str = "") -> Any:
        """Return an answer, None if there was none, or only that it may not be or not now.

        `content`: of a message, which then must not be there.
        """
        try:
            return ask()
        except Lost:
            self.refusals["lost"] += 1
        except Refused as refusal:
            self.refusals[refusal.code] += 1
            if refusal.code not in AGAIN | allowed:
                self.accuse(f"refused: {refusal.error}")
            if content and refusal.code in allowed:
                self.scene.refused.append((self.device.person.id, content))
        return None


@cache
def image(width: int, height: int) -> bytes:
    """Return a picture of this size."""
    return encoded("JPEG", width, height)


def finish(actors: Sequence[Actor], scene: Scene) -> None:
    """Let nobody begin anything new, and wait until everything that was said is answered."""
    scene.over.set()
    deadline = time.monotonic() + PATIENCE
    for actor in actors:
        actor.thread.join(max(0.0, deadline - time.monotonic()))
    scene.late.set()
    for actor in actors:
        actor.thread.join()
