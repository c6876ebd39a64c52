"""A flooder beside quiet users, and a client that reads nothing: they harm themselves at most."""

import threading
import time
from collections import deque
from pathlib import Path

from tests.clients.crowd import HEALED, Crowd
from tests.clients.native import Client
from tests.clients.person import Person, Refused
from tests.deployment import Deployment, wait_for

QUIET = 8  # pairs of quiet users
SAID = 40  # messages of each
AHEAD = 500  # messages of a flooder that wait for their answers: many times what the server takes at once
BEARABLE = 0.5  # seconds, on a machine with other things to do, for 9 of 10 acks of a quiet user
LARGE = "x" * 4_000
SMALL = 4_096  # bytes of a receive buffer
HARMLESS = 64 << 20  # bytes by which a process may grow while somebody reads nothing: garbage, not a queue


def test_a_flooder_does_not_slow_quiet_users_down(crowd: Crowd) -> None:
    flooder = crowd.device(crowd.person())
    pairs = [crowd.persons(2) for _ in range(QUIET)]
    devices = [(crowd.device(ann), crowd.device(bob)) for ann, bob in pairs]
    ending = threading.Event()
    flooding = threading.Thread(target=flood, args=(flooder, ending))
    flooding.start()
    waits: list[float] = []
    talkers = [threading.Thread(target=chat, args=(ann, bob.person, waits)) for ann, bob in devices]
    for talker in talkers:
        talker.start()
    for talker in talkers:
        talker.join()
    ending.set()
    flooding.join()
    waits.sort()
    assert len(waits) == QUIET * SAID
    assert waits[len(waits) * 9 // 10] < BEARABLE
    assert len(flooder.acked) > QUIET * SAID
    crowd.check()


def flood(device: Client, ending: threading.Event) -> None:
    """Send as fast as the connection takes it, far ahead of the answers; then wait for all of them."""
    ahead: deque[int] = deque()
    while ahead or not ending.is_set():
        if len(ahead) < AHEAD and not ending.is_set():
            ahead.append(device.post("message.send", toUser=device.person.id, content="flood"))
            continue
        try:
            device.reply(ahead.popleft())
        except Refused as refusal:
            if refusal.code not in ("rate_limited", "overloaded"):
                raise


def chat(device: Client, peer: Person, waits: list[float]) -> None:
    """Send one message after the other, and note how long each ack took."""
    for place in range(SAID):
        begun = time.monotonic()
        device.send(peer, f"quiet {place}")
        waits.append(time.monotonic() - begun)


def test_a_client_that_reads_nothing_is_cut_off_comes_back_and_harms_nobody(broken: Deployment, crowd: Crowd) -> None:
    ann, bob, eve = crowd.persons(3)
    group = ann.group(bob, eve)
    deaf = crowd.device(bob, receive_bytes=SMALL)
    beside = [crowd.device(bob), crowd.device(eve, "poll"), crowd.device(eve, "stream", web=1)]
    sender = crowd.device(ann)
    before = resident(broken)
    deaf.reading.clear()
    for place in range(50):
        numbers = [
            sender.post("message.send", conversationId=group, content=f"{place} {number} {LARGE}")
            for number in range(40)
        ]
        last = [sender.reply(number) for number in numbers][-1]
        for device in beside:
            device.wait_seq(group, last["seq"], HEALED)
    assert resident(broken) < before + HARMLESS
    deaf.reading.set()
    wait_for(lambda: deaf.bye.get("code") == "too_slow", HEALED, "the reason why it was cut off")
    deaf.wait_seq(group, last["seq"], HEALED)
    assert 4409 in deaf.close_codes
    crowd.check()


def resident(deployment: Deployment) -> int:
    """Return the bytes that the web workers hold in memory."""
    found = 0
    for pid in (pid for web in deployment.webs for pid in web.workers()):
        found += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4_096
    return found
