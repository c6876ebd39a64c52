"""What was missed is more than fits, or is still being read while more arrives."""

import pytest

from tests.clients.crowd import Crowd
from tests.clients.native import Client
from tests.clients.person import Person
from tests.deployment import wait_for

LONG = "𝄞" * 4_900  # nearly as long as a message may be: 20 kB
SMALL = 4_096  # bytes of a slow client's receive buffer
PATIENCE = 30.0  # seconds


def send_all(device: Client, group: str, contents: list[str]) -> int:
    """Send messages at full speed; return the seq of the last."""
    numbers = [device.post("message.send", conversationId=group, content=content) for content in contents]
    return int([device.reply(number) for number in numbers][-1]["seq"])


def away(crowd: Crowd, person: Person, carrier: str, **more: object) -> Client:
    """Return a device that was here and has lost its line."""
    device = crowd.device(person, carrier, auto=False, **more)
    device.cut()
    return device


@pytest.mark.parametrize("carrier", ["websocket", "poll", "stream"])
def test_a_catch_up_larger_than_the_outbox_is_taken_in_pieces(crowd: Crowd, carrier: str) -> None:
    ann, bob = crowd.persons(2)
    group = ann.group(bob)
    sender, device = crowd.device(ann), away(crowd, bob, carrier)
    last = send_all(sender, group, [f"{place} {LONG}" for place in range(45)])
    device.move(url=crowd.urls[1])
    device.wait_seq(group, last, PATIENCE)
    crowd.check(PATIENCE)
    assert not device.bye
    assert not device.events("resync")


def test_a_slow_client_takes_a_catch_up_larger_than_the_outbox(crowd: Crowd) -> None:
    ann, bob = crowd.persons(2)
    group = ann.group(bob)
    sender, device = crowd.device(ann), away(crowd, bob, "websocket", receive_bytes=SMALL)
    last = send_all(sender, group, [f"{place} {LONG}" for place in range(45)])
    device.move()
    device.wait_seq(group, last, PATIENCE)
    crowd.check(PATIENCE)
    assert not device.bye
    assert not device.events("resync")


def test_what_is_too_much_to_hand_over_is_asked_for_by_the_client(crowd: Crowd) -> None:
    ann, bob = crowd.persons(2)
    group = ann.group(bob)
    sender, devices = crowd.device(ann), [away(crowd, bob, carrier) for carrier in ("websocket", "poll", "stream")]
    for turn in range(12):
        last = send_all(sender, group, [f"{turn} {place}" for place in range(100)])
    for device in devices:
        device.move()
        device.wait_seq(group, last, PATIENCE)
        assert device.events("resync")
    crowd.check(PATIENCE)


@pytest.mark.parametrize("carrier", ["websocket", "stream"])
def test_live_events_that_arrive_while_a_backlog_is_read_follow_it_in_order(crowd: Crowd, carrier: str) -> None:
    ann, bob = crowd.persons(2)
    group = ann.group(bob)
    sender, device = crowd.device(ann), away(crowd, bob, carrier)
    for turn in range(4):
        send_all(sender, group, [f"missed {turn} {place}" for place in range(100)])
    device.reading.clear()
    device.move(url=crowd.urls[1])
    for turn in range(8):  # more than is kept of what arrives meanwhile
        last = send_all(sender, group, [f"arrived {turn} {place}" for place in range(100)])
    device.reading.set()
    device.wait_seq(group, last, PATIENCE)
    crowd.check(PATIENCE)
    assert not device.events("resync")


def test_a_backlog_of_many_conversations_comes_over_polls_that_go_to_another_server_each(crowd: Crowd) -> None:
    bob, *others = crowd.persons(31)
    groups = [other.group(bob) for other in others]
    device = crowd.device(bob, "poll", hold=1)
    device.cut()
    lasts = {
        group: other.send(group, f"of {other.id} {place}")
        for place in range(5)
        for group, other in zip(groups, others, strict=True)
    }
    for place in range(6):
        seen = len(device.seen)
        device.move(url=crowd.urls[place % 2])
        wait_for(lambda seen=seen: len(device.seen) > seen, PATIENCE, "an answer")
    for group, message in lasts.items():
        device.wait_seq(group, message["seq"], PATIENCE)
    crowd.check(PATIENCE)
