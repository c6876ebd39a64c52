"""Who is online, who went, and when: told to those whom it concerns, never against a user's wish.

Sessions are leases (leases.py). What comes of them, a user's turn from online to offline or back, is told by exactly
one process, after a look at the database: the user may not want to be seen. Who went is noted there as last seen.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import gevent
from gevent.event import Event as Signal
from redis import Redis
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from chat.directory import Directory
from chat.frames import Event
from chat.lease_notes import Lengths, State, Turn, oldest
from chat.leases import Leases
from chat.turns import events_of, note_seen, who

__all__ = ["Presence"]

AT_ONCE = 500  # turns told at a time: one query, and a loop of frames that yields to others after it
PAUSE = 0.5  # seconds between two tries while the database is away; what is not told in time comes to somebody else

logger = logging.getLogger(__name__)


class Presence:
    """The presence of this process's users, and of everybody who is asked for. The node runs `loops`.

    Users are numbers here; `config` needs REDIS_PREFIX and PRESENCE_GRACE. `tell` delivers and publishes events.
    """

    def __init__(
        self,
        redis: Redis,
        config: Mapping[str, Any],
        process_id: str,
        tell: Callable[[list[Event]], None],
        directory: Directory,
        engine: Engine,
        lengths: Lengths | None = None,
    ):
        self._tell, self._directory, self._engine = tell, directory, engine
        self.deliver = tell  # to the sessions of this process; the node says how
        lengths = lengths or Lengths(grace=config["PRESENCE_GRACE"])
        self._leases = Leases(redis, config["REDIS_PREFIX"], process_id, self._turned, lengths)
        self._turns: dict[str, Turn] = {}  # to be told; by user, so no more of them than users
        self._turns_wake = Signal()
        self._unsaid: dict[str, None] = {}  # whose turns did not reach the others; by user
        self._missed: dict[str, int] = {}  # who turned while nothing was heard here, and when they were seen
        self._missed_wake = Signal()
        self._seen: dict[int, int] = {}  # when those were seen who went and are not noted yet (microseconds)
        self._seen_wake = Signal()
        self._stopping = False
        self.loops: dict[str, Callable[[], None]] = {
            **self._leases.loops,
            "presence": partial(self._loop, self._turns_wake, self._turns, self._tell_oldest),
            "missed presence": partial(self._loop, self._missed_wake, self._missed, self._tell_missed),
            "last seen": partial(self._loop, self._seen_wake, self._seen, self._note_oldest),
        }

    def enter(self, user_id: int, session_id: str) -> None:
        """A session of a user begins. Does not wait for Redis."""
        self._leases.enter(self._directory.public_ids((user_id,))[user_id], session_id)

    def leave(self, user_id: int, session_id: str, clean: bool) -> None:  # noqa: ARG002 - said as it was entered
        """A session ends. `clean`: the client meant it; otherwise the user counts as online for some seconds more."""
        self._leases.leave(session_id, clean=clean)

    def alive(self, session_id: str) -> None:
        """A session's client gave a sign of life: frame, pong, poll. Without one for 35 s it counts as lost."""
        self._leases.alive(session_id)

    def say_again(self, user_id: int) -> None:
        """Tell a user's watchers their state anew: they wish to be seen from now on, or no more."""
        self._leases.say_again(self._directory.public_ids((user_id,))[user_id])

    def unsaid(self, events: list[Event]) -> None:
        """Note events that did not reach the other processes. Never waits."""
        self._unsaid.update((event.data["userId"], None) for event in events if event.name == "presence")

    def heard_again(self, deaf: float) -> None:
        """Say once more what the other processes did not hear, and find out what was not heard here for `deaf` seconds.

        Raises RedisError.
        """
        for user in oldest(self._unsaid, len(self._unsaid)):
            self._leases.say_again(user)
        if deaf:
            self._missed.update(self._leases.recent(deaf))
            self._missed_wake.set()

    def states(self, user_ids: Iterable[int]) -> dict[int, State]:
        """Return (online, number) of each of these users; who does not exist is left out.

        Knows nothing of privacy: whoever shows it to others asks `shows_presence` first. While Redis is away only users
        with a session in this process count as online.
        """
        names = self._directory.public_ids(user_ids)
        states = self._leases.states(list(names.values()))
        return {user_id: states[name] for user_id, name in names.items()}

    def stop(self) -> None:
        """Give up this process's sessions, which count as lost, and end the loops."""
        self._leases.stop()
        self._stopping = True
        self._turns_wake.set()
        self._missed_wake.set()
        self._seen_wake.set()

    def _turned(self, turns: list[Turn]) -> None:
        self._turns.update((turn.user, turn) for turn in turns)
        self._turns_wake.set()

    def _loop(self, wake: Signal, queue: dict[Any, Any], work: Callable[[], None]) -> None:
        """Work on a queue whenever something is in it. What fails for the database's sake is tried again."""
        while wake.wait() and (queue or not self._stopping):
            wake.clear()
            try:
                while queue:
                    work()
            except SQLAlchemyError as error:
                logger.warning("Who came and who went is told or noted later: %s", error)
                if self._stopping:
                    return
                gevent.sleep(PAUSE)
                wake.set()

    def _tell_oldest(self) -> None:
        turns = oldest(self._turns, AT_ONCE)
        try:
            with self._engine.begin() as connection:
                rows = who(connection, turns)
        except SQLAlchemyError:
            for user, turn in turns.items():
                self._turns.setdefault(user, turn)
            raise
        self._tell(events_of(rows, turns))
        self._leases.told(turns.values())
        self._seen.update((row.id, turns[row.public_id].seen_us) for row in rows if not turns[row.public_id].online)
        if self._seen:
            self._seen_wake.set()

    def _tell_missed(self) -> None:
        """Tell the sessions here how those stand who turned: the last word of each is enough."""
        missed = oldest(self._missed, AT_ONCE)
        states = self._leases.states(list(missed))
        # A word without a number is worth nothing: Redis is away, or not all have said yet whom they hold.
        turns = {
            user: Turn(user, *states[user], seen, again=False) for user, seen in missed.items() if states[user].number
        }
        try:
            with self._engine.begin() as connection:
                rows = who(connection, turns)
        except SQLAlchemyError:
            for user, seen in missed.items():
                self._missed.setdefault(user, seen)
            raise
        self.deliver(events_of(rows, turns))

    def _note_oldest(self) -> None:
        seen = {user_id: self._seen.pop(user_id) for user_id in sorted(self._seen)[:AT_ONCE]}
        try:
            with self._engine.begin() as connection:
                note_seen(connection, seen)
        except SQLAlchemyError:
            for user_id, moment in seen.items():
                self._seen.setdefault(user_id, moment)
            raise
