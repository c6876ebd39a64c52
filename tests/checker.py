"""The checker: compares what clients saw and what senders were acked with the database; names every broken promise.

`check(ledger, witnesses)` returns the violations, none if all is well; `missed` alone tells who still lacks something.
Whoever breaks a part of the server in a test asks it afterwards. A witness may be a client of any kind: it is made of
messages as they stand on the wire.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC
from itertools import pairwise
from typing import Any

from tests.audit import Violation, audit, short
from tests.ledger import Conversation, Entry, Ledger

__all__ = ["Violation", "Witness", "as_stored", "as_told", "check", "missed"]

Message = dict[str, Any]
CAME = {"added", "joined"}
WENT = {"left", "removed"}
BY_THEMSELVES = {"joined", "left"}  # the actor is meant
NEWEST = {"change": 2**63}  # as new as can be
FIRST = {"seq": 0, "change": 0}  # before all there is
FIELDS = (
    "senderId",
    "localId",
    "type",
    "content",
    "createdAt",
    "change",
)  # of an entry, as every device and every answer has to have them


@dataclass
class Witness:
    """What one device of a user testifies.

    `streams`: for each of its connections the messages that events brought, in that order. `held`: what it has in the
    end, by (conversation, seq). `acked`: the answers to its sends. `returned`: it is there, and has to have everything.
    """

    name: str
    user: str
    streams: list[list[Message]] = field(default_factory=list)
    held: dict[tuple[str, int], Message] = field(default_factory=dict)
    acked: list[Message] = field(default_factory=list)
    returned: bool = True


def check(ledger: Ledger, witnesses: Iterable[Witness]) -> list[Violation]:
    """Return everything that is not as promised."""
    everybody = list(witnesses)
    found: list[Violation] = []
    for conversation in ledger.values():
        found += audit(conversation)
    found += _acks(ledger, everybody)
    for witness in everybody:
        found += _content(ledger, witness)
        found += _theirs(ledger, witness)
        found += _order(witness)
        found += _once(witness)
        found += missed(ledger, witness)
    return found


def missed(ledger: Ledger, witness: Witness) -> list[Violation]:
    """Return what a device that is there lacks of what its user may read now, and was written since they came.

    It lacks, too, what became of an entry that it has. What its user put out of their list it need not ask for.
    """
    if not witness.returned:
        return []
    found = []
    for wire_id, conversation in ledger.items():
        member = conversation.members.get(witness.user)
        if member is None or member.left_seq is not None:
            continue
        since = max([member.visible_from + 1, *(seq for seq, came in _moves(conversation, witness.user) if came)])
        due = [row for row in conversation.rows if row.seq >= since]
        lacking = [
            row.seq for row in due if (wire_id, row.seq) not in witness.held and row.seq > (member.hidden_seq or 0)
        ]
        if lacking:
            found.append(Violation("missed", f"{witness.name} lacks {wire_id} {short(lacking)}"))
        old = [row.seq for row in due if witness.held.get((wire_id, row.seq), NEWEST)["change"] < row.change]
        if old:
            found.append(Violation("missed", f"{witness.name} has {wire_id} {short(old)} as they were"))
    return found


# What was acked.


def _acks(ledger: Ledger, witnesses: Iterable[Witness]) -> Iterator[Violation]:
    """Every acked message stands in the database as it was acked, and a localId has one answer for ever."""
    answers: dict[tuple[str, str, str], Message] = {}
    for witness in witnesses:
        for message in witness.acked:
            place = message["conversationId"]
            if message["senderId"] != witness.user:
                yield Violation("acked_wrong", f"{witness.name} was acked a message of {message['senderId']}")
            first = answers.setdefault((place, witness.user, message["localId"]), message)
            if first["seq"] != message["seq"] or first["id"] != message["id"]:
                yield Violation(
                    "acked_twice",
                    f"{witness.name} was acked {message['localId']} as {first['id']} and as {message['id']}",
                )
            yield from _acked(ledger, witness, message)


def _acked(ledger: Ledger, witness: Witness, message: Message) -> Iterator[Violation]:
    row = _row(ledger, message)
    if row is None or (row.sender, row.local_id) != (witness.user, message["localId"]):
        yield Violation(
            "acked_missing",
            f"{witness.name} was acked {message['localId']} as {message['id']}, which is {row and row.local_id}",
        )
    elif (row.content, row.type) != (message["content"], message["type"]) and row.change == message["change"]:
        yield Violation(
            "acked_wrong", f"{witness.name} was acked {message['id']} as {message['content']!r}, it is {row.content!r}"
        )


# What devices saw.


def _content(ledger: Ledger, witness: Witness) -> Iterator[Violation]:
    """What a device saw and has is what the database holds, and stays the same."""
    contents: dict[tuple[str, int], Message] = {}
    places: dict[tuple[str, str, str], int] = {}
    for message in [*_saw(witness), *witness.acked, *witness.held.values()]:
        key = (message["conversationId"], message["seq"])
        first = contents.setdefault(key, message)
        if first["change"] == message["change"] and as_told(first) != as_told(message):
            yield Violation("two_contents", f"{witness.name} saw {key} as {as_told(first)} and as {as_told(message)}")
        name = (message["conversationId"], message["senderId"] or "", message["localId"])
        if places.setdefault(name, message["seq"]) != message["seq"]:
            yield Violation("two_seqs", f"{witness.name} saw {name} at {places[name]} and at {message['seq']}")
    for key, message in witness.held.items():
        row = _row(ledger, message)
        if row is None:
            yield Violation(
                "unknown", f"{witness.name} has {key}, {message['content']!r}, which the database does not hold"
            )
        elif message["change"] >= row.change and as_told(message) != as_stored(row):  # an older one is missed
            told, stored = as_told(message), as_stored(row)
            yield Violation("altered", f"{witness.name} has {key} as {told}, the database as {stored}")


def _theirs(ledger: Ledger, witness: Witness) -> Iterator[Violation]:
    """A device was given only what its user may see, or might when it was written."""
    allowed: dict[str, Callable[[int], bool]] = {}
    for message in [*_saw(witness), *witness.held.values()]:
        wire_id = message["conversationId"]
        if wire_id in ledger:
            may_see = allowed.get(wire_id) or allowed.setdefault(wire_id, _sight(ledger[wire_id], witness.user))
            if not may_see(message["seq"]):
                yield Violation("foreign", f"{witness.name} was given {wire_id} {message['seq']}")


def _sight(conversation: Conversation, user: str) -> Callable[[int], bool]:
    """Return which entries a user might ever see: from each coming, or from the beginning, to the next going."""
    if user not in conversation.members:
        return lambda seq: False
    moves = list(_moves(conversation, user))
    if not moves or not moves[0][1]:
        moves.insert(0, (1, True))  # a founder, or somebody in a private conversation
    stays: list[tuple[int, int]] = []
    for (seq, came), (end, _) in pairwise([*moves, (conversation.last_seq + 1, False)]):
        if came:
            stays.append((0 if conversation.history == "all" else seq, end))
    return lambda seq: any(begin <= seq < end for begin, end in stays)


def _moves(conversation: Conversation, user: str) -> Iterator[tuple[int, bool]]:
    """Return a user's comings (True) and goings, by seq of their notices. The notice of a creation names nobody."""
    for row in conversation.rows:
        kind = row.notice["kind"] if row.notice else ""
        named = row.notice is not None and user in (
            row.notice["actorId"] if kind in BY_THEMSELVES else "",
            *row.notice["userIds"],
        )
        if named and kind in CAME | WENT:
            yield row.seq, kind in CAME
        elif kind == "deleted":
            yield row.seq, False


def _order(witness: Witness) -> Iterator[Violation]:
    """On every connection, what a device sees for the first time comes in the order of `seq`.

    What became of an older entry comes when it became so: behind all that has a lower `change`.
    """
    known: set[tuple[str, int]] = set()
    for stream in witness.streams:
        last: dict[str, Message] = {}
        for message in stream:
            key = (message["conversationId"], message["seq"])
            before = last.get(key[0], FIRST)
            if key not in known:
                if key[1] < before["seq"] and message["change"] < before["change"]:
                    yield Violation("order", f"{witness.name} saw {key[0]} {key[1]} after {before['seq']}")
                last[key[0]] = max(before, message, key=lambda one: one["seq"])
            known.add(key)


def _once(witness: Witness) -> Iterator[Violation]:
    """No connection brings the same state of an entry twice."""
    for stream in witness.streams:
        brought: set[tuple[str, int, int]] = set()
        for message in stream:
            state = (message["conversationId"], message["seq"], message["change"])
            if state in brought:
                yield Violation("repeated", f"{witness.name} was brought {state} twice on one connection")
            brought.add(state)


def _saw(witness: Witness) -> Iterator[Message]:
    return (message for stream in witness.streams for message in stream)


def _row(ledger: Ledger, message: Message) -> Entry | None:
    conversation = ledger.get(message["conversationId"])
    return conversation.entries.get(message["seq"]) if conversation else None


def as_told(message: Message) -> tuple[Any, ...]:
    """Return what a message on the wire says, without the signatures of its addresses."""
    return (*(message[name] for name in FIELDS), _unsigned(message.get("media")))


def as_stored(row: Entry) -> tuple[Any, ...]:
    """Return the same of a row."""
    return (
        row.sender,
        row.local_id,
        row.type,
        row.content,
        row.created_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        row.change,
        _unsigned(row.media),
    )


def _unsigned(media: dict[str, Any] | None) -> dict[str, Any] | None:
    return media and {
        name: value.partition("?")[0] if isinstance(value, str) else value for name, value in media.items()
    }
