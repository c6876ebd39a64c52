"""The audit: whether what the database holds of a conversation agrees with itself and with what is promised."""

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from tests.ledger import Conversation, Entry, Ledger, Member

__all__ = ["Violation", "audit", "short", "unread_by_counting"]


class Violation(NamedTuple):
    """A broken promise: its kind, and what shows it."""

    kind: str
    text: str


def audit(conversation: Conversation) -> Iterator[Violation]:
    """Return what is not as promised of numbers, times, positions and unread counts."""
    for look in (_numbers, _clock, _head, _positions, _unread):
        yield from look(conversation)


def short(numbers: list[int]) -> str:
    """Return a few of many numbers."""
    return f"{numbers[:5]}{f' … {numbers[-1]} ({len(numbers)})' if len(numbers) > 5 else ''}"


def unread_by_counting(ledger: Ledger, user: str) -> dict[str, int]:
    """Return how many entries are unread by a user, counted one by one, by conversation; where none are, nothing."""
    found = {}
    for wire_id, conversation in ledger.items():
        member = conversation.members.get(user)
        if member is not None and member.left_seq is None:
            found[wire_id] = _counted(conversation, member, user)
    return {wire_id: unread for wire_id, unread in found.items() if unread}


def _numbers(conversation: Conversation) -> Iterator[Violation]:
    """`seq` runs without a gap, `count` counts messages, a localId of a sender stands once."""
    expected = max(conversation.first_seq, 1)
    count = conversation.first_count
    stands: dict[tuple[str | None, str], int] = {}
    for row in conversation.rows:
        if row.seq != expected:
            yield Violation("gap", f"{conversation.wire_id} goes from {expected - 1} to {row.seq}")
        count += _countable(row)
        if row.count != count:
            yield Violation("count", f"{conversation.wire_id} {row.seq} counts {row.count}, not {count}")
        if (row.sender, row.local_id) in stands:
            first = stands[row.sender, row.local_id]
            yield Violation("twice", f"{conversation.wire_id} has {row.local_id} of {row.sender} as {first}, {row.seq}")
        stands[row.sender, row.local_id] = row.seq
        expected, count = row.seq + 1, row.count


def _clock(conversation: Conversation) -> Iterator[Violation]:
    for earlier, later in pairwise(conversation.rows):
        if later.created_at <= earlier.created_at:
            yield Violation("clock", f"{conversation.wire_id} {later.seq} is not younger than {earlier.seq}")


def _head(conversation: Conversation) -> Iterator[Violation]:
    """The head says what the entries say."""
    rows = conversation.rows
    last = rows[-1] if rows else None
    stands = {
        "last_seq": last.seq if last else conversation.last_seq,
        "last_count": last.count if last else conversation.first_count,
        "last_recalled_seq": max((row.seq for row in rows if row.recalled_at), default=0),
        "member_count": sum(1 for member in conversation.members.values() if member.left_seq is None),
    }
    for name, value in stands.items():
        if getattr(conversation, name) != value:
            yield Violation("head", f"{conversation.wire_id} says {name} {getattr(conversation, name)}, it is {value}")
    changes = [row.change for row in rows]
    if len(set(changes)) < len(changes) or max(changes, default=0) > conversation.change:
        yield Violation(
            "head",
            f"{conversation.wire_id} is at change {conversation.change}, its entries at {short(sorted(changes))}",
        )


def _positions(conversation: Conversation) -> Iterator[Violation]:
    for user, member in conversation.members.items():
        if not 0 <= member.read_seq <= member.delivered_seq <= conversation.last_seq:
            stands = f"read {member.read_seq}, delivered {member.delivered_seq}, last {conversation.last_seq}"
            yield Violation("positions", f"{user} in {conversation.wire_id}: {stands}")


def _unread(conversation: Conversation) -> Iterator[Violation]:
    """Unread by subtraction is what counting the entries one by one gives."""
    for user, member in conversation.members.items():
        if member.left_seq is not None:
            continue
        counted = _counted(conversation, member, user)
        reckoned = _reckoned(conversation, member, user)
        if reckoned != counted:
            after = f"{counted} by counting after {member.read_seq}"
            yield Violation("unread", f"{user} in {conversation.wire_id}: {reckoned} by arithmetic, {after}")


def _reckoned(conversation: Conversation, member: Member, user: str) -> int:
    recalled = sum(
        1
        for row in conversation.rows
        if row.seq > member.read_seq and row.recalled_at and row.sender != user and _countable(row)
    )
    return conversation.last_count - max(member.read_count, conversation.first_count) - member.own_count - recalled


def _counted(conversation: Conversation, member: Member, user: str) -> int:
    after = [row for row in conversation.rows if row.seq > member.read_seq]
    return sum(1 for row in after if _countable(row) and row.sender != user and not row.recalled_at)


def _countable(row: Entry) -> bool:
    return row.type != "system"
