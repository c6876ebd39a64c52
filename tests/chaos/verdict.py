"""The verdict on a run, once everything is healed: what every device saw, and is told, against the database."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from tests.audit import short, unread_by_counting
from tests.chaos.field import Story
from tests.checker import Witness, check, missed
from tests.clients.crowd import HEALED, Crowd
from tests.clients.person import Lost, Person, Refused
from tests.ledger import Ledger

__all__ = ["Verdict", "asked", "judge"]

LOOK = 0.1  # seconds between two looks at who lacks what
NEVER = 55.0  # seconds after which what is late counts as lost
SEEN = 45.0  # seconds in which presence is true again: a session's lease of 35 s, and the grace


class Verdict(NamedTuple):
    """What is not as promised, and after how many seconds nobody lacked anything."""

    wrong: list[str]
    settled: float
    ledger: Ledger


def judge(crowd: Crowd, story: Story) -> Verdict:
    """Compare, once nobody lacks anything or counts as offline; who does after ten seconds is told, and waited for."""
    begun = time.monotonic()
    late: list[str] = []
    while True:
        ledger, witnesses = stand(crowd)
        lacking = [violation.text for witness in witnesses for violation in missed(ledger, witness)]
        lacking += [f"{device.person.id} on {device.carrier} is away" for device in crowd.devices if not device.online]
        unseen = absent(crowd)
        settled = time.monotonic() - begun
        if not (lacking or unseen) or settled > NEVER:
            break
        due = [*(lacking if settled > HEALED else ()), *(unseen if settled > SEEN else ())]
        if due and not late:
            late = [f"late: after {settled:.1f} s {text}" for text in due]
            story.tell("\n".join(late))
        time.sleep(LOOK)
    wrong = [f"{kind}: {text}" for kind, text in check(ledger, witnesses)]
    for person in crowd.people:
        wrong += [*unread_of(crowd, person), *histories_of(crowd.ledger(), person)]
    return Verdict([*late, *wrong], settled, ledger)


def absent(crowd: Crowd) -> list[str]:
    """Return who counts as offline: everybody has a device that is there."""
    ids = ",".join(person.id for person in crowd.people)
    found = []
    for url in crowd.urls:
        told = asked(lambda url=url: crowd.people[0].call("GET", "/presence", {"ids": ids}, url=url))  # type: ignore[misc]
        found += [f"{row['userId']} counts as offline at {url}" for row in told["presence"] if not row["online"]]
    return found


def stand(crowd: Crowd) -> tuple[Ledger, list[Witness]]:
    """Return what the database holds and what devices have at a moment in which nothing was written.

    What was sent without waiting for an answer may be committed even now.
    """
    before = crowd.ledger()
    while True:
        witnesses = crowd.witnesses()
        after = crowd.ledger()
        if heads(before) == heads(after):
            return after, witnesses
        before = after


def heads(ledger: Ledger) -> dict[str, int]:
    """Return how often each conversation was changed."""
    return {wire_id: conversation.change for wire_id, conversation in ledger.items()}


def unread_of(crowd: Crowd, person: Person) -> list[str]:
    """Return whether somebody is told how much is unread as counting gives it: at once, not some time later."""
    while True:
        before = unread_by_counting(crowd.ledger(), person.id)
        told = asked(person.unread)
        if before == unread_by_counting(crowd.ledger(), person.id):
            return [] if told == before else [f"unread: {person.id} is told {told}, it is {before}"]


def histories_of(ledger: Ledger, person: Person) -> list[str]:
    """Return whether somebody may read exactly what is theirs of each conversation."""
    found = []
    for wire_id, conversation in ledger.items():
        member = conversation.members.get(person.id)
        if member is None or member.left_seq is not None:
            theirs = None
        else:
            theirs = [seq for seq in conversation.entries if seq > member.visible_from]
        read = asked(lambda wire_id=wire_id: readable(person, wire_id))  # type: ignore[misc]
        if read != theirs:
            found.append(f"history: {person.id} reads {told(read)} of {wire_id}, theirs is {told(theirs)}")
    return found


def readable(person: Person, conversation: str) -> list[int] | None:
    """Return the seqs that somebody may read; None: they may not."""
    try:
        return [entry["seq"] for entry in person.history(conversation)]
    except Refused as refusal:
        if refusal.code != "not_a_member":
            raise
        return None


def told(seqs: list[int] | None) -> str:
    """Return a few of many."""
    return "nothing" if seqs is None else short(seqs)


def asked(ask: Callable[[], Any]) -> Any:
    """Return an answer, asking again while a server that has just come back does not know yet."""
    deadline = time.monotonic() + HEALED
    while True:
        try:
            return ask()
        except (Lost, Refused):
            if time.monotonic() > deadline:
                raise
        time.sleep(LOOK)
