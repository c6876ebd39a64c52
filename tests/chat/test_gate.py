"""The gate: in whatever order events come, twice or late, they leave in order, each once, and none is lost."""

from hypothesis import given
from hypothesis import strategies as st

from chat.frames import CONVERSATION, Event
from chat.gate import EARLY, RING, Gate


def event(change: int, name: str = "message") -> Event:
    return Event(name, b"{}", CONVERSATION, 1, change=change)


def changes(events: list[Event]) -> list[int]:
    return [one.change for one in events]


@given(st.data(), st.integers(1, RING - 4), st.integers(0, 1_000))
def test_any_mixture_of_offers_doubles_and_fillings_is_delivered_in_order_and_once(
    data: st.DataObject, size: int, start: int
) -> None:
    gate, delivered = Gate(start), []
    offered = data.draw(st.lists(st.integers(1, size), max_size=3 * size).flatmap(st.permutations))
    for change in offered:
        delivered += changes(gate.offer(event(start + change)))
        if data.draw(st.booleans(), label="the database is asked"):
            upto = data.draw(st.integers(gate.last, start + size), label="it holds up to")
            delivered += changes(gate.fill([event(one) for one in range(gate.last + 1, upto + 1)], upto))
    delivered += changes(gate.fill([event(one) for one in range(gate.last + 1, start + size + 1)], start + size))
    assert delivered == list(range(start + 1, start + size + 1))
    assert not gate.early


@given(st.data(), st.integers(1, RING - 4))
def test_changes_without_an_event_of_their_own_are_passed_over_and_a_late_stranger_still_comes_through_once(
    data: st.DataObject, size: int
) -> None:
    gate = Gate(0)
    kept = data.draw(st.sets(st.integers(1, size)), label="changes the database still has as such")
    strangers = data.draw(st.lists(st.integers(1, size)), label="offered late")
    delivered = changes(gate.fill([event(change) for change in sorted(kept)], size))
    assert delivered == sorted(kept)
    assert gate.last == size
    late = [change for stranger in strangers for change in changes(gate.offer(event(stranger, "conversation")))]
    assert sorted(late) == sorted(set(strangers) - kept)


def test_a_message_that_comes_when_the_database_told_it_long_ago_is_dropped() -> None:
    gate = Gate(100)
    gate.fill([event(change) for change in range(101, 501)], 500)
    assert [gate.offer(event(change)) for change in (90, 101, 300, 500)] == [[], [], [], []]


def test_what_is_next_goes_through_at_once_and_lets_the_waiting_follow() -> None:
    gate = Gate(100)
    assert changes(gate.offer(event(103))) == []
    assert changes(gate.offer(event(102))) == []
    assert changes(gate.offer(event(101))) == [101, 102, 103]
    assert gate.last == 103


def test_the_first_of_two_with_the_same_change_is_the_one_that_waits() -> None:
    gate = Gate(0)
    first = event(2)
    gate.offer(first)
    gate.offer(event(2))
    assert gate.offer(event(1))[1] is first


def test_a_filling_up_to_less_than_what_waits_leaves_the_rest_waiting() -> None:
    gate = Gate(0)
    gate.offer(event(5))
    assert changes(gate.fill([event(1), event(2)], 2)) == [1, 2]
    assert list(gate.early) == [5]
    assert changes(gate.fill([event(3), event(4)], 4)) == [3, 4, 5]


def test_a_filling_that_comes_late_does_not_turn_the_gate_back() -> None:
    gate = Gate(0)
    for change in (1, 2, 3):
        gate.offer(event(change))
    assert gate.fill([event(1), event(2)], 2) == []
    assert gate.last == 3


def test_what_waits_is_bounded_and_comes_from_the_database_instead() -> None:
    gate = Gate(0)
    for change in range(2, 2 * EARLY):
        assert gate.offer(event(change)) == []
    assert len(gate.early) == EARLY
    top = 2 * EARLY - 1
    assert changes(gate.fill([event(change) for change in range(1, top + 1)], top)) == list(range(1, top + 1))


def test_what_is_remembered_as_delivered_is_bounded_and_holds_more_than_two_workers_have_in_flight() -> None:
    gate = Gate(0)
    for change in range(1, 1_000):
        gate.offer(event(change))
        assert len(gate.recent) <= 2 * RING
        assert gate.offer(event(max(1, change - RING + 1))) == []


def test_who_came_early_is_delivered_as_itself_and_not_as_the_database_tells_it() -> None:
    gate, own = Gate(0), event(2)
    own.origin = "s1"
    gate.offer(own)
    assert gate.fill([event(1), event(2)], 2)[1] is own
