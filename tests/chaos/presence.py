"""Presence as it has to be: who is there is online, who went for good is a ghost no longer, and nobody flickers."""

import time
from collections.abc import Iterable, Mapping, Sequence

from tests.chaos.device import Stay, Turn
from tests.chaos.doors import Door
from tests.clients.person import Person

__all__ = ["GHOST", "Standing", "flickers", "untrue"]

GHOST = 50.0  # seconds after which nobody counts as online who went: a lease of 35 s, the grace of 10, a sweep
GAP = 8.0  # seconds away that a peer may be told of: the grace, less what the clocks of both sides may differ by


class Standing:
    """Who has to be online and who offline. `gone`: when they went for good; a server may have been away even then."""

    def __init__(self, people: Sequence[Person], gone: Mapping[str, float], healed: float):
        self.people = people
        self._gone = {user: max(at, healed) for user, at in gone.items()}

    def untrue(self, doors: Iterable[Door]) -> list[tuple[str, float]]:
        """Return what is told wrong, and since when it should not be any more."""
        found = []
        for door in doors:
            found += [(f"{text} at {door.name}", since) for text, since in self._at(door)]
        return found

    def _at(self, door: Door) -> list[tuple[str, float]]:
        ids = ",".join(person.id for person in self.people)
        rows = door.call(self.people[0], "/presence", {"ids": ids})["presence"]
        return untrue({row["userId"]: row["online"] for row in rows}, self._gone)


def untrue(online: Mapping[str, bool], gone: Mapping[str, float]) -> list[tuple[str, float]]:
    """Return who is told to be here though they went, and since when they are gone; or who is not, though here."""
    ghosts = [(f"{user} counts as online, and went", since) for user, since in gone.items() if online[user]]
    unseen = [(f"{user} counts as offline", 0.0) for user, here in online.items() if not here and user not in gone]
    return ghosts + unseen


def flickers(stays: Mapping[str, Sequence[Stay]], turns: Iterable[Turn], begun: float) -> list[str]:
    """Return who was told to be offline without having been away.

    Away is who closed their last line on purpose, or came back later than the grace lasts. `stays`: of all devices, by
    user; what was told before `begun` is left out, for not everybody had come.
    """
    partings = {user: _first_parting(theirs) for user, theirs in stays.items()}
    found = {
        turn.user: f"{turn.user} was told to be offline, though never away"
        for turn in turns
        if not turn.online and turn.at > begun and turn.user in partings and turn.at < partings[turn.user]
    }
    return list(found.values())


def _first_parting(stays: Sequence[Stay]) -> float:
    """Return the first moment from which a user may be told to be offline."""
    until, meant = 0.0, False
    for stay in sorted(stays):
        if until and stay.begun > until and (meant or stay.begun - until > GAP):
            return until + (0.0 if meant else GAP)
        if stay.ended > until:
            until, meant = stay.ended, stay.meant
    here = time.monotonic() - until < GAP and not meant
    return float("inf") if here else until
