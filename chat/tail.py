"""The tail: what was committed lately is read from the database and compared with what was told.

It heals a worker killed between commit and publish, tells of ended logins, and carries delivery while Redis is away.
Only numbers are compared; entries are read for those conversations alone that are behind.
"""

import logging
import time
from collections.abc import Callable, Iterable
from typing import Any

import gevent
import orjson
from gevent.event import Event as Signal

from chat.audience import NOWHERE, Audience, LocalUser
from chat.entries import entry_event
from chat.frames import CONVERSATION, USER, Event
from chat.hub import Hub
from chat.ids import conversation_wire_id
from chat.log import Log
from chat.postgres import Lost, Refused, Statement

__all__ = ["Tail"]

logger = logging.getLogger(__name__)
EVERY = 5.0  # seconds between two looks
IN_DOUBT = 1.0  # the same while Redis is away, and after a look that failed
SECOND_LOOK = 0.5  # seconds after which what is still behind counts as lost and not as under way
BACK_US = 10_000_000  # microseconds a commit may take longer than its clock says: statement and idle timeouts
FILL = 500  # entries read for one conversation at a time
ANY = float("inf")  # above every change: of who is not here nothing can lack
REMEMBERED = 50_000  # conversations whose last told change is remembered, in each of two generations
HOLE = 0.05  # seconds a hole in the order waits for its event before the database is asked
AGAIN = 0.5  # seconds until a database that could not be asked is asked again


class Tail:
    """Looks, heals the hub and the logs. `ended` hears of ended logins, `user_behind` of users who were not told."""

    def __init__(
        self,
        database_url: str,
        hub: Callable[[], Hub],
        log: Log,
        ended: Callable[[Iterable[int]], None],
        user_behind: Callable[[int, int], None],
    ):
        self._look = Statement(database_url, "SELECT chat_tail_1($1::bigint)", "chat tail")
        after = "SELECT chat_after_2($1::bigint, $2::bigint, $3::int)"
        # Two loops ask it, and a statement bears one call at a time.
        self._after = Statement(database_url, after, "chat filling")
        self._unlogged = Statement(database_url, after, "chat tail")
        self._members = Statement(database_url, "SELECT chat_members_1($1::bigint)", "chat members")
        self._pairs = Statement(database_url, "SELECT chat_pairs_1($1::json)", "chat tail")
        self._joined = Statement(database_url, "SELECT chat_joined_1($1::bigint, $2::json)", "chat tail")
        self._hub, self._log = hub, log
        self._ended, self._user_behind = ended, user_behind
        self._told: list[dict[int, int]] = [{}, {}]
        self._holes: list[Audience] = []
        self._unread_lists: list[Audience] = []
        self._hole, self._list, self._sooner = Signal(), Signal(), Signal()
        # (conversation, low, high, sender, localId) -> the session here that has the entry by its reply, '' if none.
        self.origin: Callable[..., str] = lambda *_: ""
        self.looked_us = 0
        self.began = 0.0  # monotonic time at which the last look began that found out everything
        self.loops = {"tail": self._run, "holes": self._fill_holes, "member lists": self._read_lists}

    def told(self, events: Iterable[Event]) -> None:
        """Remember that these events were offered here: they are being published, or were heard of by the bus.

        What was told while nobody here was in a conversation is read for those whom a later event lets in: a send may
        be told before the adding that it follows, if this process wrote the one and heard of the other.
        """
        young, hub = self._told[0], self._hub()
        for event in events:
            if event.scope == USER and event.target in hub.users:
                hub.users[event.target].heard(event.change)
            elif event.scope == CONVERSATION and event.change and not (event.private and self._lacks_somebody(event)):
                young[event.target] = max(event.change, young.get(event.target, 0))
                hub.expect(event.target, self._reached(event.target))
        if len(young) > REMEMBERED:
            self._told = [{}, young]

    def _lacks_somebody(self, event: Event) -> bool:
        """Tell whether somebody here did not get a private event: an earlier one, with which they came in, was lost."""
        hub = self._hub()
        audience = hub.audiences.get(event.target)
        inside = () if audience is None else audience.users
        for number in event.members:  # noqa: SIM110 - no generator, for this is asked of every private message
            if number not in inside and number in hub.users:
                return True
        return False

    def fill(self, audience: Audience) -> None:
        """Ask for what a conversation's gate waits for."""
        self._holes.append(audience)
        self._hole.set()

    def look_soon(self) -> None:
        """Look at once: something may have been missed."""
        self._sooner.set()

    def read_members(self, audience: Audience) -> None:
        """Ask for a conversation's member list."""
        self._unread_lists.append(audience)
        self._list.set()

    def _run(self) -> None:
        since = 0
        while True:
            pause = EVERY
            try:
                since = self._look_once(since)
            except (Lost, Refused) as error:
                logger.warning("The tail could not look: %s", error)
                pause = IN_DOUBT
            self._sooner.wait(IN_DOUBT if self._log.epoch is None else pause)
            self._sooner.clear()

    def _look_once(self, since: int) -> int:
        """Look at what was committed since; return from when the next look has to look."""
        if not since:
            since = int(time.time() * 1e6) - 2 * BACK_US
        began = time.monotonic()
        seen = orjson.loads(self._look.read(b"%d" % since) or b"{}")
        self._ended(seen["ended"])
        behind = self._behind(seen)
        if behind:
            if self._log.epoch is not None:
                gevent.sleep(SECOND_LOOK)
                behind = [
                    (scope, target, change) for scope, target, change in behind if self._told_of(scope, target) < change
                ]
            self._heal(behind)
        self.began, self.looked_us = began, seen["now"]
        return int(seen["now"]) - BACK_US

    def _behind(self, seen: dict[str, Any]) -> list[tuple[str, int, int]]:
        heads = [(CONVERSATION, number, change) for number, change in seen["heads"]]
        users = [(USER, number, change) for number, change in seen["users"]]
        return [
            (scope, target, change) for scope, target, change in heads + users if self._told_of(scope, target) < change
        ]

    def _told_of(self, scope: str, target: int) -> float:
        """Return the change up to which nothing is lacking here as far as one knows; of nobody's here it is any."""
        if scope == USER:
            user = self._hub().users.get(target)
            return user.change if user else ANY
        return self._reached(target)

    def _reached(self, conversation: int) -> int:
        return max(self._told[0].get(conversation, 0), self._told[1].get(conversation, 0))

    def _heal(self, behind: list[tuple[str, int, int]]) -> None:
        """Have read what was not told. Raises Lost when the database cannot say whom it concerns: look again."""
        hub = self._hub()
        heads = {target: change for scope, target, change in behind if scope == CONVERSATION}
        for target, change in heads.items():
            hub.expect(target, change)
        self._begin_pairs(heads)
        for number, change in [(target, change) for scope, target, change in behind if scope == USER]:
            user = hub.users.get(number)
            if user is not None:
                self._begin_joined(user)
                self._user_behind(number, change)
                user.known(change)
        self._told[0] |= heads
        self._heal_logs(list(heads))
        hub.flush()

    def _begin_pairs(self, heads: dict[int, int]) -> None:
        """Open those of these conversations that are private and new to somebody here: all of it is read."""
        hub = self._hub()
        rows = orjson.loads(self._pairs.read(orjson.dumps(list(heads))) or b"[]") if heads and hub.users else []
        for conversation, low, high in rows:
            here = [number for number in (low, high) if number in hub.users]
            if here and conversation not in hub.audiences:
                hub.begin(conversation, 0, heads[conversation], (low, high))
                continue
            for number in here:
                user = hub.users.get(number)
                if user is not None and conversation not in user.conversations:
                    hub.watchers.pair(user, low + high - number)
                    self._begin_joined(user)

    def _begin_joined(self, user: LocalUser) -> None:
        """Let a user into the conversations that the database has them in, and nobody told them of."""
        hub = self._hub()
        known = orjson.dumps(list(user.conversations - user.unheard.keys()))
        rows = orjson.loads(self._joined.read(b"%d" % user.id, known) or b"[]")
        lacks = False
        for conversation, after, change in rows if hub.users.get(user.id) is user else ():
            audience = hub.audiences.get(conversation)
            if audience is None:
                hub.begin(conversation, after, change)
            elif audience.version >= 0 and audience.gate.last > after:
                # Somebody else made the room, and what let this one in went through its gate unheard (else it is still
                # to come, and nothing from before it may reach them). A version that cannot be has the list read; what
                # was said until then, they have to ask for.
                hub.join(user, conversation, change, -1)
                lacks = True
        user.unheard = NOWHERE
        if lacks:
            hub.offer(Event.resync(user.id))

    def _heal_logs(self, conversations: list[int]) -> None:
        """Publish again what a log lacks, so that its readers need not ask the database."""
        for conversation, last in self._log.changes(conversations).items():
            row = self._entries(self._unlogged, conversation, last)
            if row is not None and last < row["upto"] == row["change"]:
                self._log.add(_events(row))

    def _fill_holes(self) -> None:
        while True:
            self._hole.wait()
            self._hole.clear()
            gevent.sleep(HOLE)
            holes, self._holes = self._holes, []
            try:
                while holes:
                    self._fill_one(holes[-1])
                    holes.pop()
            except (Lost, Refused) as error:
                logger.warning("%d conversations could not be read: %s", len(holes), error)
                self._holes += holes
                self._hole.set()
                gevent.sleep(AGAIN)
            self._hub().flush()

    def _fill_one(self, audience: Audience) -> None:
        row = self._entries(self._after, audience.id, audience.gate.last) if audience.behind else None
        if row is None:
            audience.filling = False
            return
        events = _events(row)
        for event, entry in zip(events, row["entries"], strict=True):
            event.origin = self.origin(*entry[:3], *entry[5:7])  # its commit may not have been heard of here yet
        if not any(event.change == row["upto"] for event in events):
            events.append(_changed(audience.id, row))
        audience.wanted = row["change"]
        self._hub().filled(audience, events, row["upto"])

    def _entries(self, statement: Statement, conversation: int, since: int) -> Any:
        """Return what a conversation holds after a change, None if it is gone. Raises Lost or Refused."""
        answer = statement.read(b"%d" % conversation, b"%d" % since, b"%d" % FILL)
        return orjson.loads(answer) if answer else None

    def _read_lists(self) -> None:
        while True:
            self._list.wait()
            self._list.clear()
            lists, self._unread_lists = self._unread_lists, []
            for audience in lists:
                self._read_list(audience)
            self._hub().flush()

    def _read_list(self, audience: Audience) -> None:
        try:
            answer = self._members.read(b"%d" % audience.id)
        except (Lost, Refused):
            gevent.sleep(HOLE)
            self.read_members(audience)
            return
        row = orjson.loads(answer or b'{"version":0,"members":[]}')
        self._hub().members_read(audience, row["version"], row["members"])


def _events(row: dict[str, Any]) -> list[Event]:
    return [entry_event(entry, row["version"], changed=entry[3] in row["changed"]) for entry in row["entries"]]


def _changed(conversation: int, row: dict[str, Any]) -> Event:
    wire_id = conversation_wire_id(conversation, row["low"], row["high"])
    data = {"conversationId": wire_id, "change": row["upto"], "kind": "changed"}
    return Event.of("conversation", data, CONVERSATION, conversation, change=row["upto"], version=row["version"])
