"""What crosses the core: a Command comes in; a Reply or a Failure answers it; an Event tells of it.

An event carries its `data` as encoded JSON, made once; further encodings (a frame, another wire language) are kept on
it, so that a group of 1,000 costs 1,000 socket writes of the same bytes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

__all__ = ["CONVERSATION", "FORMAT", "UPDATED", "USER", "WATCHERS", "Caller", "Command", "Event"]

# Of `header` and of the batches that hold it. Two versions of the server run side by side in a rolling restart: what
# one says in another format, the other reads from the database.
FORMAT = 1
CONVERSATION = "c"
USER = "u"
WATCHERS = "w"
UPDATED = "message.updated"  # the name of what tells an entry anew: of an old one, not to everybody who is a member now


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the user's internal number and wire id, the login (device), and the session's id if there is one."""

    user_id: int
    public_id: str
    login_id: int
    session_id: str = ""


class Command(NamedTuple):
    """One request of a client: the verb, the client's own number for it (None: no answer wanted), its data."""

    op: str
    id: Any
    data: dict[str, Any]
    idempotency_key: str = ""


class Event:
    """Something to tell. `scope` and `target` say whom: a conversation's members, one user, or a user's watchers.

    `change` > 0 makes it durable: the conversation's (or the user's) change that it stands for. `logged` events can
    be resumed from the log. `version` is the conversation's members_version at its commit; `members` its members'
    numbers where there are at most 20 (`private`: both of a private conversation); `added` and `removed` those whom
    this very event lets in or out. `origin` is the session that gets the reply instead. `told` lists what a batch of
    missed messages tells of: (conversation, change, seq). `n` is the event's number on the bus, 0 until it is known.
    """

    __slots__ = (
        "_data",
        "added",
        "change",
        "encodings",
        "logged",
        "members",
        "n",
        "name",
        "origin",
        "private",
        "raw",
        "removed",
        "scope",
        "seq",
        "target",
        "told",
        "version",
    )

    def __init__(
        self,
        name: str,
        raw: bytes,
        scope: str,
        target: int,
        *,
        change: int = 0,
        seq: int = 0,
        version: int = 0,
        members: tuple[int, ...] = (),
        added: tuple[int, ...] = (),
        removed: tuple[int, ...] = (),
        origin: str = "",
        logged: bool = True,
        private: bool = False,
    ):
        self.name = name
        self.raw = raw
        self.scope = scope
        self.target = target
        self.change = change
        self.seq = seq
        self.version = version
        self.members = members
        self.added = added
        self.removed = removed
        self.origin = origin
        self.logged = logged
        self.private = private
        self.n = 0
        self.told: tuple[tuple[int, int, int], ...] = ()
        self.encodings: dict[str, bytes] = {}
        self._data: Any = None

    @classmethod
    def of(cls, name: str, data: dict[str, Any], scope: str, target: int, **more: Any) -> "Event":
        """Make an event from plain data."""
        return cls(name, orjson.dumps(data), scope, target, **more)

    @classmethod
    def resync(cls, user_id: int) -> "Event":
        """Make what obliges a user's clients to ask for everything. Kept as what it stands for: it counts as logged."""
        return cls("resync", b"{}", USER, user_id)

    @property
    def data(self) -> Any:
        """The event's data as plain JSON values; decoded at first need, and not to be changed."""
        if self._data is None:
            self._data = orjson.loads(self.raw)
        return self._data

    def encoded(self, language: str, encode: Callable[["Event"], bytes]) -> bytes:
        """Return the event in a wire language, encoded once for all its receivers."""
        made = self.encodings.get(language)
        if made is None:
            made = self.encodings[language] = encode(self)
        return made

    def header(self) -> bytes:
        """Return what another process must know to deliver `raw` without decoding it: one JSON array on one line."""
        return orjson.dumps(
            (
                FORMAT,
                self.name,
                self.scope,
                self.target,
                self.change,
                self.seq,
                self.version,
                self.members,
                self.added,
                self.removed,
                self.origin,
                self.logged,
                self.private,
            )
        )

    @classmethod
    def read(cls, header: bytes, raw: bytes) -> "Event":
        """Make the event that another process described with `header()`. Raises ValueError for another format."""
        form, *fields = orjson.loads(header)
        if form != FORMAT:
            raise ValueError(f"format {form}")
        name, scope, target, change, seq, version, members, added, removed, origin, logged, private = fields
        return cls(
            name,
            raw,
            scope,
            target,
            change=change,
            seq=seq,
            version=version,
            members=tuple(members),
            added=tuple(added),
            removed=tuple(removed),
            origin=origin,
            logged=logged,
            private=private,
        )
