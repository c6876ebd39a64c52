"""This process's sessions as leases in Redis, and its part in the sweep that finds out who came and who went.

Entering and leaving never wait: they are noted, and one greenlet brings what was noted to Redis, many in one call.
Redis may forget everything: this process knows what it holds and says it again. The rules are in leases.lua.
"""

import logging
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import gevent
import orjson
from gevent.event import Event as Signal
from redis import Redis, RedisError

from chat.lease_notes import Answer, Farewell, Lease, Lengths, Notes, State, Turn, milliseconds, oldest

__all__ = ["Leases"]

HERE = Path(__file__).parent
AT_ONCE = 250  # operations of a kind, and users swept, of one call: some 3 ms of Redis, for which everybody else waits
ASKED = 1_000  # users of one question: 1 ms of Redis
GATHER = 0.01  # seconds between two calls while there is much to say
LONGEST_PAUSE = 1.0  # seconds between two tries while Redis is away: the lease of a process has five
LEFT = 20_000  # sessions that left and are remembered; beyond, their leases run out by themselves. About 6 MB
TOLD_SECONDS = 3.0  # until a turn was told and reported: so long one who left may have to be named again
STOP_SECONDS = 2.0  # for which stopping waits for Redis

logger = logging.getLogger(__name__)


class Leases:
    """The sessions of this process. `turned` is given the turns that it is to tell; report them by `told`."""

    def __init__(
        self,
        redis: Redis,
        prefix: str,
        process_id: str,
        turned: Callable[[list[Turn]], None],
        lengths: Lengths,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._step_script = redis.register_script((HERE / "leases.lua").read_text())
        self._states_script = redis.register_script((HERE / "leases_states.lua").read_text())
        self._redis, self._prefix, self._process_id = redis, prefix, process_id
        self._turned, self._lengths, self._clock = turned, lengths, clock
        self._held: dict[str, Lease] = {}
        self._users: dict[str, int] = {}  # sessions held here, by user
        self._entering: dict[str, Lease] = {}
        self._renewing: dict[str, Lease] = {}
        self._leaving: dict[str, Farewell] = {}
        self._gone: dict[str, Farewell] = {}  # what Redis was told of lately, should it forget
        self._told: dict[str, Turn] = {}
        self._again: dict[str, None] = {}
        self._number = 0  # the highest seen, so that a wiped Redis does not begin below it
        self._joined = False
        self._beat_at = 0.0
        self._sweeps = False  # until nothing is left to sweep
        self._pause = 0.0  # before the next try, while Redis is away
        self._wake = Signal()
        self._stopping = False
        self._ended = Signal()
        self._ended.set()
        self.loops: dict[str, Callable[[], None]] = {"leases": self._run}

    def enter(self, user: str, session_id: str) -> None:
        """Note a new session of a user (wire id). Never waits."""
        self._held[session_id] = self._entering[session_id] = Lease(user, self._clock())
        self._users[user] = self._users.get(user, 0) + 1
        self._wake.set()

    def alive(self, session_id: str) -> None:
        """Note that a session's client gave a sign of life. Never waits; cheap enough for every frame."""
        lease = self._held.get(session_id)
        if lease is not None:
            lease.heard = self._clock()

    def leave(self, session_id: str, *, clean: bool) -> None:
        """Note that a session has ended: for good, or lost and perhaps soon back. Never waits."""
        lease = self._held.pop(session_id, None)
        if lease is None:
            return
        self._users[lease.user] -= 1
        if not self._users[lease.user]:
            del self._users[lease.user]
        self._renewing.pop(session_id, None)
        self._entering.pop(session_id, None)
        if lease.written:
            _remember(self._leaving, session_id, Farewell(lease.user, clean, self._clock()))
            self._wake.set()

    def told(self, turns: Iterable[Turn]) -> None:
        """Report turns as told. What is not reported within some seconds is given to another process."""
        self._told.update((turn.user, turn) for turn in turns)

    def say_again(self, user: str) -> None:
        """Have a user's state told anew, because it may be shown now, or no more. Never waits."""
        self._again[user] = None  # one per user who is here: no more of them than users
        self._wake.set()

    def recent(self, seconds: float) -> dict[str, int]:
        """Return who turned, on any process, within so many seconds, and when they were last seen (microseconds).

        The last 10,000 turns at most. Raises RedisError.
        """
        now, fraction = self._redis.time()
        since = now * 1_000_000 + fraction - int(seconds * 1_000_000)
        turns: list[bytes] = self._redis.zrangebyscore(f"{self._prefix}presence:recent", since, "+inf")  # type: ignore[assignment]
        found = (turn.decode().split(":", 1) for turn in turns)
        return {user: int(seen) for seen, user in found}

    def states(self, users: list[str]) -> dict[str, State]:
        """Return who of these is online. While Redis is away only this process's own users are, without a number."""
        found: dict[str, State] = {}
        for start in range(0, len(users), ASKED):
            found |= self._ask(users[start : start + ASKED])
        return found

    def stop(self) -> None:
        """Give up all sessions held (they count as lost), end this process's lease and the loop."""
        self._stopping = True
        self._wake.set()
        self._ended.wait(STOP_SECONDS + 1)

    def _ask(self, users: list[str]) -> dict[str, State]:
        answer = [0, 0] + [0] * len(users)
        if not self._pause:
            try:
                answer = self._states_script(args=[self._prefix, milliseconds(self._lengths.process), *users])
            except RedisError as error:
                logger.warning("Redis does not tell who is online: %s", error)
        number, otherwise, *online = answer
        here = self._users
        return {
            user: State(True, number) if yes or user in here else State(False, otherwise)
            for user, yes in zip(users, online, strict=True)
        }

    def _run(self) -> None:
        self._ended.clear()
        try:
            while not self._stopping:
                self._wake.wait(self._rest())
                self._wake.clear()
                self._try()
                gevent.sleep(self._pause or GATHER)
            self._depart()
        finally:
            self._ended.set()

    def _rest(self) -> float:
        if self._noted() or self._sweeps or not self._joined:
            return 0.0
        return max(0.0, self._beat_at - self._clock())

    def _noted(self) -> bool:
        many_told = len(self._told) >= AT_ONCE  # a few wait for the next beat
        return bool(self._entering or self._leaving or self._renewing or self._again or many_told)

    def _try(self) -> None:
        try:
            self._step()
        except RedisError as error:
            if not self._pause:
                logger.warning("Redis does not take who is online: %s", error)
            self._pause = min(max(self._pause * 2, 0.05), LONGEST_PAUSE)
        else:
            self._pause = 0.0

    def _step(self) -> None:
        """Bring the next notes to Redis; sweep when it is time. Raises RedisError, and the notes are kept."""
        if not self._joined and not self._join():
            return
        now = self._clock()
        if now >= self._beat_at:
            self._beat_at = now + self._lengths.beat
            self._sweeps = True
            self._look_back(now)
        notes, more = self._take(), None
        try:
            more = self._call(notes.operations(now), most=AT_ONCE if self._sweeps else 0)
        finally:
            if more is None:
                self._put_back(notes)
        self._joined = more is not None
        if more is not None:
            self._sweeps = self._sweeps and more
            self._brought(notes)

    def _join(self) -> bool:
        """Say all that Redis knew of this process. False: it forgot again meanwhile. Raises RedisError."""
        now, grace = self._clock(), self._lengths.grace
        known = [(name, one) for name, one in self._held.items() if name not in self._entering]
        held = [["h", one.user, name, milliseconds(now - one.heard)] for name, one in known]
        left = {**self._gone, **self._leaving}.items()
        recent = [(name, one) for name, one in left if now - one.at < TOLD_SECONDS + (0 if one.clean else grace)]
        lost = [["g", one.user, name, milliseconds(0 if one.clean else grace - now + one.at)] for name, one in recent]
        said = held + lost
        for start in range(0, len(said) or 1, AT_ONCE):
            if self._call(said[start : start + AT_ONCE], joins=not start) is None:
                return False
        self._joined = True
        return True

    def _call(self, operations: list[list[Any]], *, joins: bool = False, most: int = 0) -> bool | None:
        """Make the one call. Returns whether there is more to sweep; None: the process must join. Raises RedisError."""
        lengths = [milliseconds(length) for length in self._lengths]
        said = orjson.dumps(operations)
        reply = self._step_script(args=[self._prefix, self._process_id, *lengths, int(joins), most, self._number, said])
        answer = Answer.read(reply)
        if not answer.known:
            return None
        self._number = answer.number
        if answer.turns:
            self._turned(answer.turns)
        if answer.unknown:
            self._renew_those_of(set(answer.unknown))
        return answer.more

    def _renew_those_of(self, users: set[str]) -> None:
        """Say of these users' sessions that they are here, though none of them was heard: Redis forgot them."""
        if any(user in self._users for user in users):
            mine = {name: lease for name, lease in self._held.items() if lease.user in users and lease.written}
            self._renewing.update(mine)

    def _look_back(self, now: float) -> None:
        """Find the sessions whose leases are to be renewed, and forget those that left long ago."""
        renewal = self._lengths.renewal
        for name, lease in self._held.items():
            if lease.heard - lease.renewed >= renewal and lease.written:
                self._renewing[name] = lease
        kept = now - self._lengths.grace - TOLD_SECONDS
        while self._gone and next(iter(self._gone.values())).at < kept:
            del self._gone[next(iter(self._gone))]

    def _take(self) -> Notes:
        entered = oldest(self._entering, AT_ONCE)
        for lease in entered.values():
            lease.written = True  # or perhaps not: from here on it must be taken back as if it were
        left = {} if self._entering else oldest(self._leaving, AT_ONCE)
        heard, told, again = (oldest(queue, AT_ONCE) for queue in (self._renewing, self._told, self._again))
        return Notes(entered, heard, left, told, again)

    def _put_back(self, notes: Notes) -> None:
        self._entering = {name: one for name, one in notes.entered.items() if name in self._held} | self._entering
        self._leaving = notes.left | self._leaving
        self._told = notes.told | self._told
        self._again = notes.again | self._again

    def _brought(self, notes: Notes) -> None:
        for lease in (*notes.entered.values(), *notes.heard.values()):
            lease.renewed = lease.heard
        for name, farewell in notes.left.items():
            _remember(self._gone, name, farewell)

    def _depart(self) -> None:
        for session_id in list(self._held):
            self.leave(session_id, clean=False)
        end = self._clock() + STOP_SECONDS
        while self._noted() and not self._pause and self._clock() < end:
            self._try()
        try:
            self._call([["x"]])
        except RedisError as error:
            logger.warning("Redis was not told that this process ends: %s", error)


def _remember(queue: dict[str, Farewell], session_id: str, farewell: Farewell) -> None:
    queue[session_id] = farewell
    if len(queue) > LEFT:
        del queue[next(iter(queue))]
