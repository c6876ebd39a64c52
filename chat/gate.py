"""The order gate of one conversation: lets its events through in the order of `change`. Pure.

Two workers commit 101, 102 and may publish 102, 101. What is next goes through; what comes early waits for the hole
before it (the hub has it read from the database after 50 ms); what was let through lately is dropped. A new entry that
comes late was let through, too, or was read from the database, which has all of them. Nothing else is dropped only
because it is older: a late stranger passes, and the client keeps the higher `change`.
"""

from chat.frames import Event

__all__ = ["Gate"]

RING = 64  # changes remembered as delivered: more than two workers can have in flight
EARLY = 512  # events that wait for a hole; beyond, the database is the shorter way


class Gate:
    """`last` is the highest change with none missing before it. `early` waits, by change.

    Up to the `last` that a gate begins with, its members read the entries from the log or the database.
    """

    __slots__ = ("early", "last", "recent")

    def __init__(self, last: int):
        self.last = last
        self.early: dict[int, Event] = {}
        self.recent: list[int] = []

    def offer(self, event: Event) -> list[Event]:
        """Take an event; return those that may be delivered now, in order."""
        change = event.change
        if change == self.last + 1:
            self._passed(change)
            return [event] if not self.early else [event, *self._follow()]
        if change > self.last:
            if len(self.early) < EARLY:
                self.early.setdefault(change, event)
            return []
        if change in self.recent or event.name == "message":
            return []
        self._remember(change)
        return [event]

    def fill(self, events: list[Event], upto: int) -> list[Event]:
        """Take what the database holds after `last`, complete up to change `upto`; return what may be delivered now.

        Changes without an event of their own (superseded by a later one) are passed over. Who came early stays itself:
        it knows the session that sent it, which the database does not.
        """
        arrived = {event.change: event for event in events if self.last < event.change <= upto}
        for change in [change for change in self.early if change <= upto]:
            arrived[change] = self.early.pop(change)
        self.last = max(self.last, upto)
        ready = [arrived[change] for change in sorted(arrived)]
        for event in ready:
            self._remember(event.change)
        return ready + self._follow()

    def _follow(self) -> list[Event]:
        ready = []
        while (event := self.early.pop(self.last + 1, None)) is not None:
            self._passed(event.change)
            ready.append(event)
        return ready

    def _passed(self, change: int) -> None:
        self.last = change
        self._remember(change)

    def _remember(self, change: int) -> None:
        self.recent.append(change)
        if len(self.recent) > RING * 2:
            del self.recent[:RING]
