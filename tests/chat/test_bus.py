"""What a process tells and hears: its own events numbered, others' delivered, and no number claimed too soon."""

import time

import gevent
import pytest
from redis import RedisError

from chat import bus as bus_module
from chat.broker import DEAD_AFTER, Batch
from chat.bus import LOGIN_ENDED, Bus
from chat.frames import USER, Event
from chat.push import Push
from tests.chat.test_broker import packed
from tests.chat.test_hub import House, message
from tests.chat.world import DEFAULTS

ME = "process"  # as in `packed`


class Parts:
    """Log, tail and broker as far as a bus needs them, and what happened to them."""

    def __init__(self) -> None:
        self.house = House()
        self.epoch: str | None = None
        self.awaited: dict[int, list[Event]] = {}
        self.told_of: list[Event] = []
        self.ended: list[int] = []
        self.looks = 0
        self.began = 0.0
        self.takes = True
        self.next = ("one", 100)
        self.returns: list[float] = []

    def add(self, events: list[Event]) -> bool:
        return self.takes

    def doubt(self) -> None:
        self.epoch = None

    def connect(self) -> int:
        if isinstance(self.next, Exception):
            raise self.next
        self.epoch, n = self.next
        return n

    def told(self, events: list[Event]) -> None:
        self.told_of += events

    def look_soon(self) -> None:
        self.looks += 1


@pytest.fixture
def parts() -> Parts:
    return Parts()


def bus_of(parts: Parts, process_id: str = "other") -> Bus:
    ended, returned = parts.ended.extend, parts.returns.append
    return Bus(None, DEFAULTS, process_id, parts, parts.house.hub, parts, ended, print, returned)  # type: ignore[arg-type]


def test_what_another_version_said_is_looked_for_and_no_number_beyond_it_is_claimed_until_it_is_found(
    parts: Parts,
) -> None:
    bus = bus_of(parts)
    bus._subscribed()
    looks = parts.looks
    bus._unread()
    bus._heard(Batch(packed(1, message(1), before=105)))
    assert parts.looks == looks + 1
    assert bus.n() == 100
    parts.began = time.monotonic()
    assert bus.n() == 106


def test_what_is_published_counts_as_told_unless_redis_is_away(parts: Parts) -> None:
    bus = bus_of(parts)
    first, second = message(1), message(2)
    bus.publish([first])
    parts.takes = False
    bus.publish([second])
    assert parts.told_of == [first]


def test_events_of_others_are_delivered_and_count_as_told(parts: Parts) -> None:
    bus = bus_of(parts)
    bus._subscribed()
    ann = parts.house.come(1)
    bus._heard(Batch(packed(1, message(1), message(2), before=100)))
    assert ann.carrier.changes() == [1, 2]
    assert [event.change for event in parts.told_of] == [1, 2]
    assert bus.n() == 102


def test_own_events_are_numbered_and_not_delivered_again(parts: Parts) -> None:
    bus = bus_of(parts, ME)
    bus._subscribed()
    ann = parts.house.come(1)
    mine = [message(1), message(2)]
    parts.awaited[7] = mine
    bus._heard(Batch(packed(7, *mine, before=100)))
    assert [event.n for event in mine] == [101, 102]
    assert (ann.carrier.events, parts.awaited) == ([], {})
    assert bus.n() == 102


def test_a_login_ended_elsewhere_is_told_and_goes_to_no_session(parts: Parts) -> None:
    bus = bus_of(parts)
    ann = parts.house.come(1)
    bus._heard(Batch(packed(1, Event.of(LOGIN_ENDED, {"login": 5}, USER, 0, logged=False))))
    assert parts.ended == [5]
    assert ann.carrier.events == []


def test_for_how_long_nothing_may_have_been_heard_is_told_once_redis_is_trusted_again(parts: Parts) -> None:
    bus = bus_of(parts)
    bus._subscribed()
    bus._lost()
    begun = time.monotonic()
    gevent.sleep(0.01)
    bus._lost()  # again, before it was found
    bus._subscribed()
    bus._subscribed()
    first, after_the_loss, later = parts.returns
    assert (first, later) == (0.0, 0.0)
    assert DEAD_AFTER + 0.01 < after_the_loss < DEAD_AFTER + 1 + time.monotonic() - begun


def test_what_is_for_this_process_alone_is_told_to_nobody_else(parts: Parts) -> None:
    bus = bus_of(parts)
    ann = parts.house.come(1)
    bus.deliver([message(1)])
    assert ann.carrier.changes() == [1]
    assert parts.told_of == []


def test_what_waits_here_is_not_claimed(parts: Parts) -> None:
    bus = bus_of(parts)
    bus._subscribed()
    parts.house.come(1)
    bus._heard(Batch(packed(1, message(2), before=100)))
    assert bus.n() == 100
    parts.house.hub.filled(parts.house.holes[0], [message(1)], 1)
    assert bus.n() == 101


def test_a_process_without_sessions_begins_where_redis_stands(parts: Parts) -> None:
    bus = bus_of(parts)
    bus._subscribed()
    assert bus.n() == 100
    assert parts.looks == 1


def test_after_a_gap_it_stands_where_it_stood_until_the_tail_has_looked(parts: Parts) -> None:
    bus = bus_of(parts)
    bus._subscribed()
    parts.house.come(1)
    parts.next = ("one", 150)
    bus._subscribed()
    assert bus.n() == 100
    bus._heard(Batch(packed(1, message(1), before=150)))
    assert bus.n() == 100
    parts.began = bus._since + 1
    assert bus.n() == 151


def test_while_the_tail_still_reads_what_it_found_nothing_is_claimed(parts: Parts) -> None:
    bus = bus_of(parts)
    bus._subscribed()
    parts.house.come(1)
    parts.next = ("one", 150)
    bus._subscribed()
    parts.house.hub.expect(7, 5)
    parts.began = bus._since + 1
    assert bus.n() == 100
    parts.house.hub.filled(parts.house.holes[0], [message(change) for change in range(1, 6)], 5)
    assert bus.n() == 150


def test_in_another_epoch_nothing_of_before_is_claimed(parts: Parts) -> None:
    bus = bus_of(parts)
    bus._subscribed()
    parts.house.come(1)
    parts.next = ("two", 3)
    bus._subscribed()
    assert bus.n() == 0
    parts.began = bus._since + 1
    assert bus.n() == 3


def test_redis_is_trusted_again_once_it_says_who_it_is(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus_module, "MEND_EVERY", 0.01)
    bus = bus_of(parts)
    loop = gevent.spawn(bus.loops["mending"])
    gevent.sleep(0.05)
    assert parts.epoch is None  # not subscribed: the broker is the one to begin
    bus._broker.subscribed = True
    parts.next = RedisError("away")  # type: ignore[assignment]
    gevent.sleep(0.05)
    assert parts.epoch is None
    parts.next = ("one", 100)
    gevent.sleep(0.05)
    loop.kill()
    assert (parts.epoch, parts.looks) == ("one", 1)


def test_celery_is_told_of_messages_where_push_is_on(parts: Parts) -> None:
    bus = bus_of(parts)
    assert "push" not in bus.loops
    bus._push = Push(DEFAULTS | {"PUSH_WEBHOOK_URL": "https://push.example"})
    bus.publish([message(1)])
    assert list(bus._push._noted) == [7]
