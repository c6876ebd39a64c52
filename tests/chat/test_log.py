"""The logs over a real Redis: numbered, bounded, told in one call, and honest about what they cannot tell."""

import secrets
from collections.abc import Iterator
from typing import Any

import gevent
import pytest
from redis import Redis, RedisError

from chat import frames
from chat import log as log_module
from chat.broker import Batch
from chat.frames import CONVERSATION, USER, Event
from chat.log import Log
from chat.publishing import log_name
from tests.chat.world import DEFAULTS

PATIENCE = 10.0  # seconds


class Press:
    """A log of a process, its loop, and what it published."""

    def __init__(self, redis: Redis, prefix: str, *, listens: bool = True, **config: Any):
        self.redis, self.prefix = redis, prefix
        process_id = secrets.token_hex(4)
        self.log = Log(redis, DEFAULTS | {"REDIS_PREFIX": prefix} | config, process_id)
        self.subscription, self.other = redis.pubsub(), redis.pubsub()  # as if two processes listened
        for each, name in ((self.subscription, process_id if listens else "another"), (self.other, "other")):
            each.subscribe(f"{prefix}events:{name}", prefix + "events")
            each.get_message(timeout=5)
            each.get_message(timeout=5)
        self.loop = gevent.spawn(self.log.loops["log"])

    def publish(self, *events: Event) -> Batch:
        """Publish and return the batch as every process hears it."""
        assert self.log.add(list(events))
        with gevent.Timeout(PATIENCE):
            while self.log.queued:
                gevent.sleep(0.001)
        gevent.sleep(0)
        return self.heard()

    def heard(self) -> Batch:
        message = self.subscription.get_message(timeout=5)
        assert message is not None
        batch = Batch(message["data"])
        self.log.awaited.pop(batch.number, None)
        return batch

    def read(self, *names: str, after: int = 0, most: int = 1_000) -> Any:
        return self.log.read(dict.fromkeys(names, 0), after, most)

    def close(self) -> None:
        self.loop.kill()
        self.subscription.close()
        self.other.close()


@pytest.fixture
def presses(redis_url: str) -> Iterator[Any]:
    redis = Redis.from_url(redis_url)
    made: list[Press] = []

    def make(prefix: str = "", **config: Any) -> Press:
        made.append(Press(redis, prefix or f"t{secrets.token_hex(4)}:", **config))
        made[-1].log.connect()
        return made[-1]

    yield make
    for press in made:
        press.close()
        for key in redis.scan_iter(press.prefix + "*"):
            redis.delete(key)
    redis.close()


@pytest.fixture
def press(presses: Any) -> Press:
    found: Press = presses()
    return found


def message(change: int, target: int = 7, raw: bytes = b'{"a":1}', **more: Any) -> Event:
    return Event("message", raw, CONVERSATION, target, **{"change": change, "seq": change, "version": 3} | more)


ROOM = log_name(CONVERSATION, 7)


def test_events_are_numbered_over_all_logs_and_told_as_one_batch(press: Press) -> None:
    batch = press.publish(message(1), message(1, 8), Event("unread", b"{}", USER, 5))
    assert (batch.before, batch.last, batch.process_id) == (0, 3, press.log._publishing._process_id)
    assert [(event.n, event.scope, event.target) for event in batch.events()] == [(1, "c", 7), (2, "c", 8), (3, "u", 5)]
    assert press.publish(message(2)).before == 3


def test_where_only_the_publisher_listens_the_numbers_are_told_and_not_the_events(press: Press) -> None:
    press.other.close()
    with gevent.Timeout(PATIENCE):
        while press.redis.pubsub_numsub(press.prefix + "events")[0][1] != 1:
            gevent.sleep(0.001)
    batch = press.publish(message(1), message(2))
    assert (batch.before, batch.last, batch.events()) == (0, 2, [])
    assert len(press.read(ROOM).events) == 2


def test_one_whose_subscription_was_lost_is_heard_by_a_single_listener(press: Press) -> None:
    press.subscription.close()  # which the publisher does not know yet
    with gevent.Timeout(PATIENCE):
        while press.redis.pubsub_numsub(press.prefix + "events")[0][1] != 1:
            gevent.sleep(0.001)
    press.subscription = press.other
    assert [event.change for event in press.publish(message(1), message(2)).events()] == [1, 2]


def test_one_who_publishes_without_listening_is_heard_by_a_single_listener(presses: Any) -> None:
    press = presses(listens=False)
    press.other.close()
    with gevent.Timeout(PATIENCE):
        while press.redis.pubsub_numsub(press.prefix + "events")[0][1] != 1:
            gevent.sleep(0.001)
    assert [event.change for event in press.publish(message(1), message(2)).events()] == [1, 2]


def test_an_event_comes_back_from_its_log_as_it_went(press: Press) -> None:
    went = message(1, raw=b'{"x":"\\n"}', members=(1, 2), added=(3,), removed=(4,), origin="s1", private=True)
    press.publish(went)
    (back,) = press.read(ROOM).events
    for name in ("name", "raw", "scope", "target", "change", "seq", "version", "members", "added", "removed", "origin"):
        assert getattr(back, name) == getattr(went, name)
    assert (back.private, back.logged, back.n) == (True, True, 1)


def test_a_reader_gets_what_came_after_its_number_in_the_order_of_the_numbers(press: Press) -> None:
    press.publish(message(1), message(1, 8))
    press.publish(message(2, 8), message(2))
    found = press.read(ROOM, log_name(CONVERSATION, 8), after=1)
    assert [(event.n, event.target, event.change) for event in found.events] == [(2, 8, 1), (3, 8, 2), (4, 7, 2)]
    assert (found.n, found.unsure, found.epoch) == (4, [], press.log.epoch)


def test_a_log_that_is_not_there_cannot_tell(press: Press) -> None:
    press.publish(message(1))
    assert press.read(ROOM, log_name(CONVERSATION, 99)).unsure == [log_name(CONVERSATION, 99)]


def test_a_log_that_begins_after_the_readers_number_cannot_tell(press: Press) -> None:
    press.publish(message(1, 8))
    press.publish(message(41))  # its first: what stood before is not known
    assert press.read(ROOM, after=0).unsure == press.read(ROOM, after=1).unsure == [ROOM]
    assert press.read(ROOM, after=2).unsure == []  # who was handed this very event has all before it


def test_the_first_change_of_a_conversation_has_nothing_before_it(press: Press) -> None:
    press.publish(message(1, 8))
    press.publish(message(1))
    assert press.read(ROOM, after=0).unsure == []


def test_a_log_that_ends_before_what_the_database_holds_cannot_tell(press: Press) -> None:
    press.publish(message(1))
    assert press.log.read({ROOM: 2}, 0, 100).unsure == [ROOM]
    assert press.log.read({ROOM: 1}, 0, 100).unsure == []


def test_a_hole_in_the_changes_begins_the_log_anew_so_that_readers_before_it_ask_the_database(press: Press) -> None:
    press.publish(message(1), message(2))
    press.publish(message(5))
    assert press.read(ROOM, after=3).unsure == []
    assert press.read(ROOM, after=2).unsure == press.read(ROOM, after=1).unsure == [ROOM]


def test_a_change_that_comes_late_or_twice_is_told_but_not_logged_again(press: Press) -> None:
    press.publish(message(1), message(2))
    assert press.publish(message(2), message(1)).last == 4
    assert [event.change for event in press.read(ROOM).events] == [1, 2]


def test_a_log_is_bounded_in_entries_and_says_what_it_lost(presses: Any) -> None:
    press = presses(LOG_ENTRIES=10)
    for change in range(1, 31):
        press.publish(message(change))
    assert press.read(ROOM, after=0).unsure == [ROOM]
    found = press.read(ROOM, after=20)
    assert [event.change for event in found.events] == list(range(21, 31))


def test_a_log_is_bounded_in_bytes_and_keeps_at_least_the_younger_half(presses: Any) -> None:
    press = presses(LOG_BYTES=10_000)
    for change in range(1, 101):
        press.publish(message(change, raw=b'"%b"' % (b"x" * 500)))
    assert press.read(ROOM, after=50).unsure == [ROOM]
    kept = press.read(ROOM, after=95)
    assert [event.change for event in kept.events] == [96, 97, 98, 99, 100]
    key = press.prefix + ROOM
    assert press.redis.xlen(key) * 600 < 2 * 10_000


def test_a_log_is_forgotten_in_time(presses: Any) -> None:
    press = presses(LOG_SECONDS=900)
    press.publish(message(1))
    for key in press.redis.scan_iter(press.prefix + "log:*"):
        assert 0 < press.redis.ttl(key) <= 900


def test_what_is_not_logged_is_told_and_takes_a_number(press: Press) -> None:
    batch = press.publish(Event("typing", b"{}", CONVERSATION, 7, logged=False), message(1))
    assert [event.n for event in batch.events()] == [1, 2]
    assert [event.n for event in press.read(ROOM).events] == [2]


def test_more_than_is_asked_for_is_not_read(press: Press) -> None:
    for change in range(1, 21):
        press.publish(message(change))
    assert len(press.read(ROOM, most=5).events) == 5


def test_the_last_change_of_each_log_is_told(press: Press) -> None:
    press.publish(message(1), message(2), message(1, 8))
    assert press.log.changes([7, 8, 99]) == {7: 2, 8: 1}
    assert press.log.changes([]) == {}


# Doubt.


def test_processes_agree_on_the_epoch_and_a_wiped_redis_begins_another(presses: Any) -> None:
    one = presses()
    other = presses(one.prefix)
    assert one.log.epoch == other.log.epoch
    for key in one.redis.scan_iter(one.prefix + "*"):
        one.redis.delete(key)
    before = one.log.epoch
    one.log.connect()
    assert one.log.epoch != before
    other.log.connect()
    assert other.log.epoch == one.log.epoch


def test_nothing_is_published_into_a_redis_that_was_wiped(press: Press) -> None:
    press.publish(message(1))
    for key in press.redis.scan_iter(press.prefix + "*"):
        press.redis.delete(key)
    press.log.add([message(2)])
    with gevent.Timeout(PATIENCE):
        while press.log.epoch is not None:
            gevent.sleep(0.001)
    assert list(press.redis.scan_iter(press.prefix + "*")) == []
    assert not press.log.add([message(3)])
    assert press.log.settled()


def test_events_that_were_lost_on_the_way_begin_another_epoch(press: Press) -> None:
    before = press.log.epoch
    press.log.doubt()
    press.log.connect()
    assert press.log.epoch == before  # nothing was lost
    press.log.doubt()
    press.log.add([message(1)])
    press.log.connect()
    assert press.log.epoch != before


def test_what_is_not_logged_may_be_lost_without_doubt(press: Press) -> None:
    before = press.log.epoch
    press.log.doubt()
    press.log.add([Event("typing", b"{}", CONVERSATION, 7, logged=False)])
    press.log.connect()
    assert press.log.epoch == before


def test_what_no_log_keeps_is_handed_back_when_nobody_was_told(press: Press) -> None:
    unsaid: list[str] = []
    press.log.unsaid = lambda events: unsaid.extend(event.name for event in events)
    typing = Event("typing", b"{}", CONVERSATION, 7, logged=False)
    press.log.awaited[1] = [typing, message(1)]
    press.log.doubt()
    assert unsaid == ["typing"]
    press.log.add([typing])
    assert unsaid == ["typing"] * 2


def test_after_a_new_subscription_nothing_is_said_into_the_connection_of_before(press: Press) -> None:
    press.publish(message(1))
    for client in press.redis.client_list():
        if client["cmd"] in ("evalsha", "eval"):
            press.redis.client_kill_filter(_id=client["id"])
    press.log.connect()
    press.publish(message(2))
    assert press.log.epoch is not None


def test_what_was_published_and_not_heard_back_counts_as_lost(press: Press) -> None:
    before = press.log.epoch
    press.log.awaited[1] = [message(1)]
    press.log.doubt()
    assert press.log.settled()
    press.log.connect()
    assert press.log.epoch != before


def test_a_redis_that_does_not_answer_is_doubted_and_harms_nobody(press: Press) -> None:
    def away(*_: Any) -> Any:
        raise RedisError("away")

    press.log._publishing.publish = away  # type: ignore[method-assign]
    assert press.log.add([message(1)])
    with gevent.Timeout(PATIENCE):
        while press.log.epoch is not None:
            gevent.sleep(0.001)
    assert press.log.changes([7]) == {}
    assert press.log.settled()


def test_the_queue_is_bounded(press: Press, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "QUEUED", 3)
    taken = [press.log.add([message(change)]) for change in range(1, 8)]
    assert taken == [True] * 4 + [False] * 3


def test_a_long_queue_goes_out_in_calls_of_bounded_length_and_in_order(
    press: Press, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_module, "A_CALL", 10)
    batches = [press.publish(*(message(change) for change in range(1, 26))), press.heard(), press.heard()]
    assert [len(batch.events()) for batch in batches] == [10, 10, 5]
    assert [event.change for batch in batches for event in batch.events()] == list(range(1, 26))


def test_a_log_with_an_entry_of_another_version_cannot_tell(press: Press, monkeypatch: pytest.MonkeyPatch) -> None:
    room, other = (log_name(CONVERSATION, number) for number in (7, 8))
    press.publish(
        Event.of("message", {}, CONVERSATION, 7, change=1), Event.of("message", {}, CONVERSATION, 8, change=1)
    )
    monkeypatch.setattr(frames, "FORMAT", frames.FORMAT + 1)
    press.publish(Event.of("message", {}, CONVERSATION, 7, change=2))
    monkeypatch.undo()
    found = press.read(room, other)
    assert found.unsure == [room]
    assert [event.target for event in found.events] == [8]
