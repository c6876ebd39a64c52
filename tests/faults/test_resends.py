"""The same message sent again: after a lost ack, in one batch, from two connections at once, with another content."""

import threading

import pytest

from tests.clients.crowd import Crowd
from tests.clients.native import Client, Refused
from tests.clients.person import Person
from tests.deployment import wait_for

SEVERAL = 20  # times each race is run


@pytest.fixture
def pair(crowd: Crowd) -> tuple[Person, Person]:
    """Two people."""
    ann, bob = crowd.persons(2)
    return ann, bob


def test_a_resend_after_a_lost_ack_is_the_same_message(crowd: Crowd, pair: tuple[Person, Person]) -> None:
    ann, bob = pair
    other = crowd.device(bob, web=1)
    for place in range(SEVERAL):
        device = crowd.device(ann, auto=False)
        device.post("message.send", toUser=bob.id, content=f"once {place}", localId=f"l{place}")
        device.cut()
        other.wait_content(f"once {place}")
        (stored,) = [entry for entry in list(other.entries.values()) if entry["content"] == f"once {place}"]
        device.move(url=crowd.urls[place % 2])
        assert device.send(bob, f"once {place}", localId=f"l{place}") == stored
        assert ann.send(bob, f"once {place}", localId=f"l{place}") == stored
        device.leave()
    crowd.check()


def test_the_same_local_id_twice_in_one_batch_is_one_message(crowd: Crowd, pair: tuple[Person, Person]) -> None:
    ann, bob = pair
    device = crowd.device(ann)
    crowd.device(bob, web=1)
    posted = [
        (device.post("message.send", **same), device.post("message.send", **same))
        for same in ({"toUser": bob.id, "content": f"twin {place}", "localId": f"l{place}"} for place in range(SEVERAL))
    ]
    for first, second in posted:
        assert device.reply(first) == device.reply(second)
    crowd.check()


def test_the_same_local_id_from_two_connections_at_once_is_one_message(
    crowd: Crowd, pair: tuple[Person, Person]
) -> None:
    ann, bob = pair
    crowd.device(bob)
    devices = [crowd.device(ann, web=web) for web in (0, 1, 1)]
    answers: list[list[object]] = [[] for _ in range(SEVERAL)]
    for place in range(SEVERAL):
        together = threading.Barrier(len(devices))

        def send(device: Client, place: int = place, together: threading.Barrier = together) -> None:
            together.wait()
            answers[place].append(device.send(bob, f"thrice {place}", localId=f"l{place}"))

        senders = [threading.Thread(target=send, args=(device,)) for device in devices]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
    assert all(answer[0] == answer[1] == answer[2] for answer in answers)
    crowd.check()


def test_the_same_local_id_with_another_content_is_refused(crowd: Crowd, pair: tuple[Person, Person]) -> None:
    ann, bob = pair
    device = crowd.device(ann, web=1)
    device.send(bob, "first", localId="l")
    for again in (device.send, ann.send):
        with pytest.raises(Refused) as refused:
            again(bob, "second", localId="l")
        assert refused.value.code == "local_id_conflict"
    crowd.check()


def test_the_same_local_id_with_another_content_in_one_batch_is_refused(
    crowd: Crowd, pair: tuple[Person, Person]
) -> None:
    ann, bob = pair
    device = crowd.device(ann)
    posted = [
        device.post("message.send", toUser=bob.id, content=content, localId=f"l{place}")
        for place in range(SEVERAL)
        for content in ("first", "second")
    ]
    for first, second in zip(posted[::2], posted[1::2], strict=True):
        assert device.reply(first)["content"] == "first"
        with pytest.raises(Refused, match="local_id_conflict"):
            device.reply(second)
    crowd.check()


def test_a_resend_gets_the_answer_of_the_first_time_whatever_happened_since(crowd: Crowd) -> None:
    ann, bob = crowd.persons(2)
    group = ann.group(bob)
    device = crowd.device(bob)
    acked = device.send(group, "before I was put out", localId="l")
    ann.remove(group, bob)
    assert device.send(group, "before I was put out", localId="l") == acked
    with pytest.raises(Refused, match="not_a_member"):
        device.send(group, "afterwards", localId="l2")
    wait_for(lambda: device.online, 5.0, "the connection to be kept")
    crowd.check()
