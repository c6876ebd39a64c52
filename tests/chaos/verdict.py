"""The verdict on a run, once everything is healed: what every device saw, and is told, against the database."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle
from typing import Any, NamedTuple

from tests.audit import short, unread_by_counting
from tests.chaos.actor import Scene
from tests.chaos.doors import Door
from tests.chaos.presence import GHOST, Standing
from tests.checker import Witness, as_stored, as_told, check, missed
from tests.clients.crowd import HEALED, Crowd
from tests.clients.person import Lost, Person, Refused
from tests.ledger import Conversation, Entry, Ledger, Member

__all__ = ["Verdict", "asked", "judge"]

LOOK = 0.1  # seconds between two looks at who lacks what
NEVER = 60.0  # seconds after which what is late counts as lost
SEEN = 45.0  # seconds in which presence is true again: a session's lease of 35 s, and the grace
QUIET = 20  # attempts to ask everything while nothing changes; thumbnails come even now
OTHER = "something else"  # what only a conflict ever said


class Verdict(NamedTuple):
    """What is not as promised, and after how many seconds nobody lacked anything."""

    wrong: list[str]
    settled: float
    ledger: Ledger


def judge(crowd: Crowd, scene: Scene, doors: Sequence[Door]) -> Verdict:
    """Compare, once nobody lacks anything and presence is true; what is not in time is told, and waited for."""
    begun = time.monotonic()
    here = {device.person.id for device in crowd.devices if not device.left}  # a script may have ended before its end
    gone = {user: at for user, at in scene.gone.items() if user not in here}
    standing = Standing(crowd.people, gone, begun)
    late: list[str] = []
    while True:
        ledger, witnesses = stand(crowd)
        lacking = [violation.text for witness in witnesses for violation in missed(ledger, witness)]
        lacking += [
            f"{device.person.id} on {device.carrier} is away"
            for device in crowd.devices
            if not (device.online or device.left)
        ]
        untrue = asked(lambda: standing.untrue(doors))
        now = time.monotonic()
        if not (lacking or untrue) or now - begun > NEVER:
            break
        due = lacking if now - begun > HEALED else []
        due = due + [text for text, since in untrue if now > (since + GHOST if since else begun + SEEN)]
        if due and not late:
            late = [f"late: after {now - begun:.1f} s {text}" for text in due]
            scene.story.tell("\n".join(late))
        time.sleep(LOOK)
    settled = time.monotonic() - begun
    wrong = [f"{kind}: {text}" for kind, text in check(ledger, witnesses)]
    wrong += [*repeated(ledger), *refused_but_there(ledger, scene.refused), *told_otherwise(crowd, doors)]
    return Verdict([*late, *wrong], settled, ledger)


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


def heads(ledger: Ledger) -> dict[str, Any]:
    """Return how often each conversation was changed, and where its members stand, but for what was delivered."""
    return {
        wire_id: (conversation.change, [_stands(member) for member in conversation.members.values()])
        for wire_id, conversation in ledger.items()
    }


def _stands(member: Member) -> tuple[Any, ...]:
    return member.read_seq, member.visible_from, member.left_seq, member.hidden_seq


def repeated(ledger: Ledger) -> list[str]:
    """Return what stands twice, whatever its localId: nobody ever says the same, or makes two groups of one name."""
    said = Counter((row.sender, row.content) for conversation in ledger.values() for row in conversation.rows)
    names = Counter(conversation.name for conversation in ledger.values() if conversation.name.startswith("founded"))
    found = [f"repeated: {sender} said {text!r} {times} times" for (sender, text), times in said.items()
             if sender is not None and times > 1]  # fmt: skip
    return found + [
        f"repeated: the group {name!r} was made {times} times" for name, times in names.items() if times > 1
    ]


def refused_but_there(ledger: Ledger, refused: Sequence[tuple[str, str]]) -> list[str]:
    """Return what was refused for good, and stands there nevertheless."""
    never = set(refused)
    rows = [row for conversation in ledger.values() for row in conversation.rows]
    return [
        f"refused: {row.sender} was refused {row.content!r}, which stands there"
        for row in rows
        if (row.sender or "", row.content) in never or row.content == OTHER
    ]


def told_otherwise(crowd: Crowd, doors: Sequence[Door]) -> list[str]:
    """Return what people are told otherwise than the database has it: at once, not some time later."""
    before = crowd.ledger()
    for _ in range(QUIET):
        found = [
            text
            for number, person in enumerate(crowd.people)
            for look in (_unread, _list, _histories)
            for text in look(before, person, doors, number)
        ]
        after = crowd.ledger()
        if heads(after) == heads(before):
            return found
        before = after
    return ["told: something changes without end"]


def _unread(ledger: Ledger, person: Person, doors: Sequence[Door], _number: int) -> Iterator[str]:
    """Every worker tells how much is unread as counting gives it, and the last entry with it."""
    counted = unread_by_counting(ledger, person.id)
    for door in doors:
        rows = asked(lambda door=door: door.call(person, "/unread"))["conversations"]  # type: ignore[misc]
        if (told := {wire_id: row["unread"] for wire_id, row in rows.items()}) != counted:
            yield f"unread: {person.id} is told {told} by {door.name}, it is {counted}"
        for wire_id, row in rows.items():
            yield from _last(ledger[wire_id], person, row, door)


def _list(ledger: Ledger, person: Person, doors: Sequence[Door], number: int) -> Iterator[str]:
    """The list shows what it has to, as it stands."""
    door = doors[number % len(doors)]
    rows = asked(lambda: door.call(person, "/conversations", {"limit": 100}))["conversations"]
    told = {row["id"]: row for row in rows}
    due = {wire_id for wire_id, conversation in ledger.items() if _is_listed(conversation, person)}
    if set(told) != due:
        yield f"list: {person.id} is shown {sorted(told)} by {door.name}, theirs is {sorted(due)}"
    counted = unread_by_counting(ledger, person.id)
    for wire_id in due & set(told):
        conversation, row = ledger[wire_id], told[wire_id]
        stands = (conversation.last_seq, conversation.change, conversation.members[person.id].read_seq)
        if (row["lastSeq"], row["change"], row["readSeq"], row["unread"]) != (*stands, counted.get(wire_id, 0)):
            yield f"list: {person.id} is told {row} of {wire_id} by {door.name}, it is {stands}, {counted}"
        yield from _last(conversation, person, row, door)


def _is_listed(conversation: Conversation, person: Person) -> bool:
    member = conversation.members.get(person.id)
    return member is not None and member.left_seq is None and conversation.last_seq > (member.hidden_seq or 0)


def _last(conversation: Conversation, person: Person, row: dict[str, Any], door: Door) -> Iterator[str]:
    due = [entry for entry in _readable(conversation, person) or [] if entry.seq == conversation.last_seq]
    told = row["lastMessage"] and as_told(row["lastMessage"])
    if told != (as_stored(due[0]) if due else None):
        yield f"last: {person.id} is told {told} of {conversation.wire_id} by {door.name}, it is {due}"


def _histories(ledger: Ledger, person: Person, doors: Sequence[Door], number: int) -> Iterator[str]:
    """Somebody may read exactly what is theirs of each conversation, and it says what the database says."""
    turns = cycle([*doors[number % len(doors) :], *doors[: number % len(doors)]])
    for wire_id, conversation in ledger.items():
        door = next(turns)
        due = _readable(conversation, person)
        theirs = None if due is None else [as_stored(entry) for entry in due]
        read = asked(lambda wire_id=wire_id, door=door: pages(door, person, wire_id))  # type: ignore[misc]
        if read is None or theirs is None or [entry["seq"] for entry in read] != [entry.seq for entry in due or []]:
            if (read, theirs) != (None, None):
                seqs = short([entry.seq for entry in due or []])
                yield f"history: {person.id} reads {_seqs(read)} of {wire_id} by {door.name}, theirs is {seqs}"
            continue
        for entry, stored in zip(read, theirs, strict=True):
            if as_told(entry) != stored:
                yield f"history: {person.id} reads {as_told(entry)} in {wire_id} by {door.name}, it is {stored}"


def _readable(conversation: Conversation, person: Person) -> list[Entry] | None:
    """Return what somebody may read; None: nothing, not even that it is there."""
    member = conversation.members.get(person.id)
    if member is None or member.left_seq is not None:
        return None
    return [row for row in conversation.rows if row.seq > member.visible_from]


def _seqs(read: list[dict[str, Any]] | None) -> str:
    return "nothing" if read is None else short([entry["seq"] for entry in read])


def pages(door: Door, person: Person, conversation: str) -> list[dict[str, Any]] | None:
    """Return all that somebody is given of a conversation, oldest first; None: they may not."""
    found: list[dict[str, Any]] = []
    more = True
    while more:
        before = {"before": found[0]["seq"]} if found else {}
        try:
            page = door.call(person, f"/conversations/{conversation}/messages", {"limit": 100, **before})
        except Refused as refusal:
            if refusal.code != "not_a_member":
                raise
            return None
        found, more = page["messages"] + found, page["hasMore"]
    return found


def asked(ask: Callable[[], Any]) -> Any:
    """Return an answer, asking again while a server that has just come back does not know yet."""
    deadline = time.monotonic() + HEALED
    while True:
        try:
            return ask()
        except (Lost, Refused) as failure:
            if time.monotonic() > deadline or (isinstance(failure, Refused) and failure.code == "internal"):
                raise
        time.sleep(LOOK)
