"""The number up to which nothing is missing here."""

from chat.frames import CONVERSATION, Event
from chat.watermark import Watermark
from tests.chat.test_hub import ROOM, House, message


def numbered(event: Event, n: int) -> Event:
    event.n = n
    return event


def test_it_stands_where_the_subscription_began_and_moves_with_what_is_heard() -> None:
    house, mark = House(), Watermark()
    mark.reset(40)
    assert mark.n(house.hub) == 40
    mark.heard(45)
    mark.heard(43)
    assert mark.n(house.hub) == 45


def test_it_stops_before_what_waits_at_a_gate() -> None:
    house, mark = House(), Watermark()
    house.come(1)
    house.offer(numbered(message(2), 11), numbered(message(3), 12))
    mark.heard(12)
    assert mark.n(house.hub) == 10
    house.hub.filled(house.holes[0], [message(1)], 1)
    assert mark.n(house.hub) == 12


def test_it_stops_before_what_waits_for_a_member_list() -> None:
    house, mark = House(), Watermark()
    house.come(1)
    house.offer(numbered(message(1, 5), 11))
    mark.heard(11)
    assert mark.n(house.hub) == 10


def test_it_stops_before_what_is_kept_while_sessions_open() -> None:
    house, mark = House(), Watermark()
    house.hub.opening = 1
    house.offer(numbered(message(1), 11))
    mark.heard(11)
    assert mark.n(house.hub) == 10


def test_what_has_no_number_yet_holds_nothing_up() -> None:
    house, mark = House(), Watermark()
    house.come(1)
    house.offer(Event("message", b"{}", CONVERSATION, ROOM, change=2, seq=2, version=1))
    mark.heard(9)
    assert mark.n(house.hub) == 9


def test_a_new_subscription_begins_anew_even_at_a_lower_number() -> None:
    house, mark = House(), Watermark()
    mark.heard(100)
    mark.reset(3)
    assert mark.n(house.hub) == 3


def test_what_was_told_while_nobody_listened_holds_it_until_the_tail_has_found_it() -> None:
    house, mark = House(), Watermark()
    mark.heard(20)
    mark.reset(40, floor=20)
    mark.heard(45)
    assert mark.n(house.hub) == 20
    mark.settle()
    assert mark.n(house.hub) == 45


def test_it_stands_before_what_could_not_be_read_until_that_is_found_elsewhere() -> None:
    house, mark = House(), Watermark()
    mark.reset(40)
    mark.missed(house.hub)
    mark.heard(45)
    assert mark.n(house.hub) == 40
    mark.missed(house.hub)
    mark.settle()
    assert mark.n(house.hub) == 45
