"""Unread by subtraction is unread by counting, whatever happens in which order."""

from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chat.frames import Caller
from chat.services import conversations, sync
from tests.chat.world import World

FRACTION = st.floats(0, 1)
ACTIONS = st.one_of(
    st.tuples(st.just("send"), st.one_of(st.none(), FRACTION)),
    st.tuples(st.just("send"), st.none()),
    st.tuples(st.sampled_from(["join", "leave", "clear"]), st.none()),
    st.tuples(st.sampled_from(["read", "recall"]), FRACTION),
)
STEPS = st.lists(st.tuples(st.integers(0, 2), ACTIONS), max_size=25)


@dataclass
class Member:
    """What a naive client would remember."""

    user: Caller
    present: bool = True
    read: int = 1


@dataclass
class Entry:
    """An entry as a naive client would keep it."""

    sender: Caller | None
    recalled: bool = False


@dataclass
class Naive:
    """Counts by looking at every entry, and does to the world what it does to itself."""

    world: World
    group: str
    members: list[Member]
    entries: list[Entry] = field(default_factory=lambda: [Entry(None)])

    def unread(self, member: Member) -> int:
        later = self.entries[member.read :]
        return sum(entry.sender not in (None, member.user) and not entry.recalled for entry in later)

    def place(self, fraction: float) -> int:
        return round(fraction * (len(self.entries) + 1))

    def send(self, member: Member, fraction: float | None) -> None:
        last = len(self.entries)
        read_seq = None if fraction is None else self.place(fraction)
        verdict, seq = self.world.try_to_send(self.group, member.user, read_seq=read_seq)
        assert (verdict == 0) is member.present
        if member.present:
            assert seq == last + 1
            self.entries.append(Entry(member.user))
            member.read = max(member.read, seq if read_seq is None else min(read_seq, last))

    def read(self, member: Member, fraction: float) -> None:
        self.world.move(self.group, member.user, self.place(fraction))
        if member.present:
            member.read = max(member.read, min(self.place(fraction), len(self.entries)))

    def recall(self, _member: Member, fraction: float) -> None:
        seq = min(max(1, self.place(fraction)), len(self.entries))
        if self.entries[seq - 1].sender and not self.entries[seq - 1].recalled:
            self.world.recall(self.group, seq)
            self.entries[seq - 1].recalled = True

    def join(self, member: Member, _: None) -> None:
        self.world.join(self.group, member.user)
        if not member.present:
            self.entries.append(Entry(None))
            member.present, member.read = True, len(self.entries)

    def leave(self, member: Member, _: None) -> None:
        if member.present and member is not self.members[0]:
            self.world.leave(self.group, member.user)
            self.entries.append(Entry(None))
            member.present = False

    def clear(self, member: Member, _: None) -> None:
        if member.present:
            self.world.do(conversations.clear, member.user, self.group)
            member.read = len(self.entries)

    def check(self) -> None:
        for member in self.members:
            expected = self.unread(member) if member.present else 0
            assert self.world.unread(member.user)["total"] == expected
            if member.present:
                self.check_member(member, expected)

    def check_member(self, member: Member, expected: int) -> None:
        data: dict[str, Any] = self.world.do(conversations.get, member.user.user_id, self.group).data
        state = self.world.read(sync.states, member.user.user_id, {self.group: {"seq": 0, "change": 0}})[self.group]
        assert data["unread"] == state["unread"] == expected
        assert data["readSeq"] == state["readSeq"] == member.read
        assert member.read <= data["deliveredSeq"] <= data["lastSeq"] == len(self.entries)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS, st.sampled_from(["all", "joined"]))
def test_unread_is_what_counting_says(world: World, steps: list[Any], history: str) -> None:
    people = world.people("Ann", "Bob", "Cat")
    group = world.group(*people, joining="open", history=history)
    naive = Naive(world, group, [Member(person) for person in people])
    for who, (action, argument) in steps:
        getattr(naive, action)(naive.members[who], argument)
        naive.check()
