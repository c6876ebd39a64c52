"""Many devices of one user, and one device on many carriers."""

import threading

from tests.clients.crowd import CARRIERS, HEALED, Crowd
from tests.clients.native import Client
from tests.deployment import wait_for

EACH = 25  # messages of a device


def test_ten_devices_of_one_user_reading_and_sending_at_once_agree_in_the_end(crowd: Crowd) -> None:
    ann, bob = crowd.persons(2)
    group = ann.group(bob)
    crowd.device(bob)
    devices = [crowd.device(ann, CARRIERS[place % 3], place % 2) for place in range(10)]

    def use(device: Client, name: int) -> None:
        for place in range(EACH):
            sent = device.send(group, f"{name} {place}", localId=f"{name}-{place}")
            bob.send(group, f"to {name} {place}")
            device.ask("read", conversationId=group, seq=sent["seq"])

    users = [threading.Thread(target=use, args=(device, name)) for name, device in enumerate(devices)]
    for user in users:
        user.start()
    for user in users:
        user.join()
    crowd.check()
    last = bob.send(group, "the last word")
    devices[3].wait_seq(group, last["seq"])
    assert devices[3].ask("read", conversationId=group, seq=last["seq"])["unread"] == 0
    for device in devices[:3] + devices[4:]:
        told = device.wait(
            "unread", lambda data: data["conversationId"] == group and data["readSeq"] == last["seq"], HEALED
        )
        assert told["unread"] == 0
    crowd.check()


def test_a_websocket_moved_to_long_poll_and_back_in_mid_stream_misses_nothing(crowd: Crowd) -> None:
    ann, bob = crowd.persons(2)
    group = ann.group(bob)
    sender, mover = crowd.device(ann), crowd.device(bob)
    ending = threading.Event()

    def stream() -> None:
        place = 0
        while not ending.is_set():
            place += 1
            sender.send(group if place % 3 else bob, f"{place}")

    streaming = threading.Thread(target=stream)
    streaming.start()
    try:
        for place, carrier in enumerate(
            ("poll", "websocket", "stream", "poll", "websocket", "poll", "stream", "websocket")
        ):
            begun = len(mover.entries)
            mover.move(carrier, crowd.urls[place % 2])
            wait_for(lambda begun=begun: len(mover.entries) > begun + 40, 20.0, "more messages on the new carrier")
    finally:
        ending.set()
        streaming.join()
    crowd.check()
