"""What one call brings to Redis of this process's sessions, and what it brings back. Pure.

Kept apart from the greenlet in leases.py: notes can be taken, put back and said again without anybody waiting.
"""

from itertools import islice
from typing import Any, NamedTuple, TypeVar

__all__ = ["Answer", "Farewell", "Lease", "Lengths", "Notes", "State", "Turn", "milliseconds", "oldest"]

Value = TypeVar("Value")


class Lengths(NamedTuple):
    """Seconds: the lease of a process and of a session, and for how long a lost session still counts."""

    process: float = 5.0
    session: float = 35.0
    grace: float = 10.0

    @property
    def beat(self) -> float:
        """Between two looks at who is gone, and renewals of the process's own lease: four may fail."""
        return self.process / 5

    @property
    def renewal(self) -> float:
        """For which a session's lease is left alone, however often its client is heard."""
        return self.session / 4


class Turn(NamedTuple):
    """A user came or went: to be told by this process. `again`: their state is said anew although it did not change."""

    user: str
    online: bool
    number: int
    seen_us: int
    again: bool

    @classmethod
    def read(cls, turn: list[Any]) -> "Turn":
        """Make one of what leases.lua answers."""
        user, online, number, seen_us, again = turn
        return cls(user.decode(), bool(online), number, seen_us, bool(again))


class Answer(NamedTuple):
    """What leases.lua answers. Not `known`: nothing was done, the process must join first.

    `more`: there is more to sweep; `unknown`: users of whom every process is to say which sessions it holds.
    """

    known: bool
    number: int
    more: bool
    turns: list[Turn]
    unknown: list[str]

    @classmethod
    def read(cls, answer: list[Any]) -> "Answer":
        """Make one of Redis's reply."""
        known, *rest = answer
        number, more, turns, unknown = rest or (0, 0, [], [])
        users = [user.decode() for user in unknown]
        return cls(bool(known), number, bool(more), [Turn.read(turn) for turn in turns], users)


class State(NamedTuple):
    """Whether a user is online, and the number of that word; events with a higher number are later."""

    online: bool
    number: int


class Lease:
    """A session held here. `heard`: the client's last sign of life; `renewed`: the one that Redis knows of."""

    __slots__ = ("heard", "renewed", "user", "written")

    def __init__(self, user: str, now: float):
        self.user = user
        self.heard = self.renewed = now
        self.written = False


class Farewell(NamedTuple):
    """A session that left, for good or lost, and when."""

    user: str
    clean: bool
    at: float


class Notes(NamedTuple):
    """What one call brings to Redis. Saying any of it twice changes nothing."""

    entered: dict[str, Lease]
    heard: dict[str, Lease]
    left: dict[str, Farewell]
    told: dict[str, Turn]
    again: dict[str, None]

    def operations(self, now: float) -> list[list[Any]]:
        """Return them as leases.lua takes them; who comes is before who goes, so that changing sessions is no turn."""
        return [
            *(["n", lease.user, session] for session, lease in self.entered.items()),
            *(["e", lease.user, session, milliseconds(now - lease.heard)] for session, lease in self.heard.items()),
            *(
                ["c", one.user, session] if one.clean else ["l", one.user, session, milliseconds(now - one.at)]
                for session, one in self.left.items()
            ),
            *(["t", turn.user, turn.number] for turn in self.told.values()),
            *(["s", user] for user in self.again),
        ]


def milliseconds(seconds: float) -> int:
    """Return a length as Redis counts it; never below nothing."""
    return max(0, int(seconds * 1000))


def oldest(queue: dict[str, Value], most: int) -> dict[str, Value]:
    """Take the oldest of a queue out of it."""
    return {name: queue.pop(name) for name in list(islice(queue, most))}
