"""The subscription over a real Redis: batches in order, and no quiet death."""

import secrets
from collections.abc import Iterator
from typing import Any

import gevent
import pytest
from redis import Redis

from chat import broker as broker_module
from chat.broker import Batch, Broker
from chat.frames import CONVERSATION, USER, Event
from chat.publishing import own_channel
from chat.redis_line import RedisLine
from tests.chat.test_log import message

PATIENCE = 10.0  # seconds


class Ear(RedisLine):
    """A line that lets other greenlets run while it waits, as a patched socket does. `deaf`: hears nothing."""

    def __init__(self, radio: "Radio"):
        super().__init__(radio.redis, 0.001)
        self._radio = radio

    def say(self, *command: Any) -> None:
        self._radio.pings += command == ("PING",)
        super().say(*command)

    def hear(self) -> Any:
        with gevent.Timeout(broker_module.LOOK, False):
            while True:
                gevent.sleep(0.002)
                found = None if self._radio.deaf else super().hear()
                if found is not None:
                    return found
        return None


class Radio:
    """A broker that runs, and what it said in order."""

    def __init__(self, url: str):
        self.redis = Redis.from_url(url)
        self.prefix = f"t{secrets.token_hex(4)}:"
        self.said: list[Any] = []
        self.unread: list[int] = []
        self.deaf = False
        self.refuse = 0
        self.pings = 0
        self.broker = Broker(
            lambda: Ear(self),
            self.prefix,
            self.said.append,
            self._connect,
            lambda: self.said.append("lost"),
            "me",
            self._post,
            lambda: self.unread.append(len(self.said)),
        )
        self.loop = gevent.spawn(self.broker.loops["broker"])

    def _connect(self) -> None:
        self.said.append("connected")

    def _post(self, data: bytes) -> None:
        if data == b"nonsense":
            raise ValueError(data)
        self.said.append(data)

    def publish(self, payload: bytes) -> None:
        self.redis.publish(self.prefix + "events", payload)

    def wait(self, count: int) -> list[Any]:
        with gevent.Timeout(PATIENCE):
            while len(self.said) < count:
                gevent.sleep(0.002)
        return self.said

    def close(self) -> None:
        self.loop.kill()
        self.redis.close()


@pytest.fixture
def radio(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Radio]:
    monkeypatch.setattr(broker_module, "LOOK", 0.05)
    monkeypatch.setattr(broker_module, "PING_EVERY", 0.1)
    monkeypatch.setattr(broker_module, "DEAD_AFTER", 0.5)
    made = Radio(redis_url)
    made.wait(1)
    yield made
    made.close()


def packed(number: int, *events: Event, before: int = 10, form: str = "1") -> bytes:
    head = f"{form} epoch process {number} {before} {len(events)}".encode()
    return b"\n".join([head, *(part for event in events for part in (event.header(), event.raw))])


def test_a_batch_says_whose_it_is_and_numbers_its_events() -> None:
    batch = Batch(packed(3, message(1), Event("unread", b"{}", USER, 5), message(2)))
    assert (batch.epoch, batch.process_id, batch.number, batch.before, batch.last) == ("epoch", "process", 3, 10, 13)
    assert [(event.n, event.name, event.change) for event in batch.events()] == [
        (11, "message", 1),
        (12, "unread", 0),
        (13, "message", 2),
    ]


def test_data_is_not_decoded_on_the_way() -> None:
    strange = Event("message", b"not even json", CONVERSATION, 7, change=1)
    assert Batch(packed(1, strange)).events()[0].raw == b"not even json"


def test_batches_are_heard_in_the_order_in_which_they_were_published(radio: Radio) -> None:
    for number in range(20):
        radio.publish(packed(number, message(number)))
    said = radio.wait(21)
    assert said[0] == "connected"
    assert [batch.number for batch in said[1:]] == list(range(20))


@pytest.mark.parametrize("payload", [b"", b"nonsense", packed(1, form="2"), b"1 a b c d e", b"\xff\xfe"])
def test_a_batch_of_another_kind_is_left_to_the_tail(radio: Radio, payload: bytes) -> None:
    radio.publish(payload)
    radio.publish(packed(7))
    assert radio.wait(2)[1].number == 7
    assert radio.unread == [1]


def test_what_is_for_this_process_alone_comes_on_its_own_channel(radio: Radio) -> None:
    for name, data in (("me", b"nonsense"), ("other", b"not for us"), ("me", b"for us")):
        radio.redis.publish(own_channel(radio.prefix, name), data)
    radio.publish(packed(7))
    said = radio.wait(3)
    assert said[:2] == ["connected", b"for us"]
    assert said[2].number == 7


def test_a_subscription_that_was_cut_is_told_and_made_anew(radio: Radio) -> None:
    radio.redis.client_kill_filter(_type="pubsub", skipme=True)
    assert radio.wait(3) == ["connected", "lost", "connected"]
    radio.publish(packed(1))
    assert radio.wait(4)[3].number == 1


def test_a_silent_subscription_is_tried_and_lives_on_if_it_answers(radio: Radio) -> None:
    with gevent.Timeout(PATIENCE):
        while radio.pings < 6:
            gevent.sleep(0.01)
    assert radio.said == ["connected"]


def test_a_subscription_that_answers_no_more_is_told_and_made_anew(radio: Radio) -> None:
    radio.deaf = True
    radio.wait(2)
    radio.deaf = False
    assert radio.wait(3) == ["connected", "lost", "connected"]


def test_a_redis_that_does_not_say_who_it_is_is_asked_again(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[int] = []

    def fail_twice(radio: Radio) -> None:
        tries.append(1)
        if len(tries) < 3:
            raise ConnectionError("not yet")
        radio.said.append("connected")

    monkeypatch.setattr(Radio, "_connect", fail_twice)
    radio = Radio(redis_url)
    assert radio.wait(1) == ["connected"]
    assert len(tries) == 3
    radio.close()
