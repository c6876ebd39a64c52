"""One device with its script: it does what the plan says, again where it was not answered, and notes what is wrong."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from tests.chaos.field import Story
from tests.chaos.plan import Act
from tests.clients.lines import Line
from tests.clients.native import Client
from tests.clients.person import Lost, Person, Refused

__all__ = ["AGAIN", "Actor", "Device", "Scene", "finish"]

AGAIN = {"overloaded", "unavailable", "going_away", "rate_limited", "internal", "too_many_sessions"}
OUTSIDE = {"not_a_member"}  # who was put out, may do nothing there
ALLOWED = {  # what may be answered instead, by verb, for everybody comes and goes
    "remove": {"not_a_member", "forbidden", "unknown_user"},
    "add": {"not_a_member", "forbidden"},
    "leave": {"not_a_member", "last_owner"},
    "join": set(),
    "resend": set(),
}
PAUSE = 0.1  # seconds before something is said again
PATIENCE = 30.0  # seconds after which, with everything healed, what was said has to be answered


class Device(Client):
    """A client that notes when it saw what."""

    def __init__(self, story: Story, name: str, person: Person, carrier: str, urls: Sequence[str]):
        self.name = name
        self.journal = Story(story)
        super().__init__(person, carrier, urls=urls, auto=True)

    def _take(self, frame: dict[str, Any]) -> None:
        self.journal.tell(str(frame))
        super()._take(frame)

    def _open(self) -> Line:
        self.journal.tell(f"opens {self.carrier} at {self.url} with {self.cursor}")
        line = super()._open()
        self.journal.tell("is open")
        return line


class Scene:
    """What all actors share: who there is, the groups, when it began, and whether it is over."""

    def __init__(self, people: list[Person], groups: list[str], urls: Sequence[str], story: Story):
        self.people, self.groups, self.urls, self.story = people, groups, list(urls), story
        self.over = threading.Event()  # nothing new is said
        self.late = threading.Event()  # what was not answered by now, never will be


class Actor:
    """Plays one device's acts in a thread. `wrong`: what must not have been answered; `refusals` counts by code."""

    def __init__(self, device: Device, acts: Sequence[Act], scene: Scene):
        self.device, self._acts, self.scene = device, acts, scene
        self.acks = 0
        self.refusals: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._sent: list[dict[str, Any]] = []  # with a localId, and acked
        self._high: dict[str, int] = {}  # the highest acked seq, by conversation
        self._said = 0
        self._again: dict[str, Callable[[Act], None]] = {
            "send": self._send, "burst": self._burst, "send bare": self._send_bare, "resend": self._resend,
            "conflict": self._conflict, "read": self._read, "history": self._history, "refresh": self._refresh,
            "unread": self._unread, "move": self._move, "remove": self._remove, "add": self._add,
            "leave": self._leave, "join": self._join,
        }  # fmt: skip
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        for act in self._acts:
            if self.scene.over.wait(max(0.0, act.at - self.scene.story.seconds())):
                return
            try:
                self._again[act.verb](act)
            except Exception as error:  # noqa: BLE001 (a finding; the other acts go on)
                self._accuse(f"{act}: {error!r}")

    def _accuse(self, text: str) -> None:
        self.wrong.append(f"{self.device.name}: {text}")
        self.scene.story.tell(f"{self.device.name} WRONG {text}")

    def _place(self, act: Act) -> dict[str, str]:
        number = int(act.place[1:])
        if act.place[0] == "u":
            return {"toUser": self.scene.people[number].id}
        return {"conversationId": self.scene.groups[number]}

    def _conversation(self, act: Act) -> str:
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
        self._deliver([self._message(act)], OUTSIDE)

    def _burst(self, act: Act) -> None:
        self._deliver([self._message(act) for _ in range(act.number)], OUTSIDE)

    def _resend(self, act: Act) -> None:
        """Whoever resends what was acked gets the same answer for ever, even where they were put out meanwhile."""
        if self._sent:
            self._deliver([self._sent[act.number % len(self._sent)]], ALLOWED["resend"])

    def _deliver(self, messages: list[dict[str, Any]], allowed: set[str]) -> None:
        """Send messages one behind the other, and again, in their order, those that were not answered."""
        while messages:
            messages = self._unanswered(messages, allowed)
            if messages and self.scene.late.wait(PAUSE):
                self._accuse(f"{len(messages)} were never answered: {messages[0]}")
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
                self._accuse(f"{data} was refused: {refusal.error}")
            return refusal.code not in AGAIN
        self.acks += 1
        self._sent.append(data)
        self._note(message)
        return True

    def _note(self, message: dict[str, Any]) -> None:
        where = message["conversationId"]
        self._high[where] = max(message["seq"], self._high.get(where, 0))

    def _send_bare(self, act: Act) -> None:
        message = self._message(act)
        del message["localId"]
        answer = self._try(lambda: self.device.ask("message.send", **message), OUTSIDE)
        if answer:
            self.acks += 1
            self._note(answer)

    def _conflict(self, act: Act) -> None:
        if self._sent:
            other = {**self._sent[act.number % len(self._sent)], "content": "something else"}
            if self._try(lambda: self.device.ask("message.send", **other), {"local_id_conflict"}):
                self._accuse(f"{other} was acked")

    # Looking.

    def _read(self, act: Act) -> None:
        where = self._conversation(act)
        if where:
            self._try(lambda: self.device.ask("read", conversationId=where), OUTSIDE)

    def _history(self, act: Act) -> None:
        """What was acked before stands in what is read after."""
        where = self._conversation(act)
        if where:
            high = self._high.get(where, 0)
            page = self._try(lambda: self.device.ask("history", conversationId=where, limit=50), OUTSIDE)
            if page:
                self.device.keep(page["messages"])
                if page["messages"] and page["messages"][-1]["seq"] < high:
                    self._accuse(f"history of {where} ends at {page['messages'][-1]['seq']}, {high} was acked before")

    def _refresh(self, act: Act) -> None:
        self._try(self.device.refresh, OUTSIDE)

    def _unread(self, act: Act) -> None:
        self._try(self.device.person.unread, set())

    def _move(self, act: Act) -> None:
        try:
            self.device.move(act.carrier, self.scene.urls[act.web])
        except AssertionError:  # all servers are away for long; whether it came back is asked in the end
            self.refusals["away"] += 1

    # Coming and going.

    def _remove(self, act: Act) -> None:
        self._call(act, "DELETE", f"/members/{self.scene.people[act.number].id}")

    def _add(self, act: Act) -> None:
        self._call(act, "POST", "/members", {"userIds": [self.scene.people[act.number].id]})

    def _leave(self, act: Act) -> None:
        self._call(act, "POST", "/leave", {})

    def _join(self, act: Act) -> None:
        self._call(act, "POST", "/join", {})

    def _call(self, act: Act, method: str, path: str, data: Any = None) -> None:
        person, group = self.device.person, self.scene.groups[int(act.place[1:])]
        url = self.scene.urls[act.web]
        self.scene.story.tell(f"{self.device.name} {act.verb} {group} {path}")
        done = self._try(
            lambda: person.call(method, f"/groups/{group}{path}", data, self.device.token, url) or True,
            ALLOWED[act.verb],
        )
        self.scene.story.tell(f"{self.device.name} {act.verb} {group} {path}: {'done' if done else 'not done'}")

    def _try(self, ask: Callable[[], Any], allowed: set[str]) -> Any:
        """Return an answer, None if there was none, or only that it may not be or not now."""
        try:
            return ask()
        except Lost:
            self.refusals["lost"] += 1
        except Refused as refusal:
            self.refusals[refusal.code] += 1
            if refusal.code not in AGAIN | allowed:
                self._accuse(f"refused: {refusal.error}")
        return None


def finish(actors: Sequence[Actor], scene: Scene) -> None:
    """Let nobody begin anything new, and wait until everything that was said is answered."""
    scene.over.set()
    deadline = time.monotonic() + PATIENCE
    for actor in actors:
        actor.thread.join(max(0.0, deadline - time.monotonic()))
    scene.late.set()
    for actor in actors:
        actor.thread.join()
