"""Flooders beside quiet users, and clients that read nothing: they harm themselves at most."""

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from tests.chat.test_measures import figures, one
from tests.clients.crowd import HEALED, Crowd
from tests.clients.native import Client
from tests.clients.person import Person
from tests.deployment import Deployment, wait_for

QUIET = 8  # pairs of quiet users
SAID = 5  # messages of each at least, on the average
FLOOD = 8_000  # messages of a flooder: fewer than these servers allow, so that none is refused
AHEAD = 500  # messages of a flooder that wait for their answers: many times what the server takes at once
POURED_WITHIN = 60.0  # seconds in which a busy machine has taken a flood
BEARABLE = 0.5  # seconds, on a machine with other things to do, for 9 of 10 acks of a quiet user
LARGE = "x" * 4_000
ROUNDS = 50  # times 40 large messages: twice what the kernel keeps of a connection that is not read
SMALL = 4_096  # bytes of a receive buffer
SOCKETS = r'connections\{.*"websocket"'
SLOW = r"slow_clients(\{|$)"
HARMLESS = 64 << 20  # bytes by which a process may grow while somebody reads nothing: garbage, not a queue


def test_a_flooder_does_not_slow_quiet_users_down(crowd: Crowd) -> None:
    flooder = crowd.device(crowd.person())
    waits = while_flooded(crowd, flood, flooder)
    assert waits[len(waits) * 9 // 10] < BEARABLE
    assert len(flooder.acked) == FLOOD
    crowd.check()


def test_a_flooder_who_waits_for_no_answer_does_not_slow_quiet_users_down(crowd: Crowd) -> None:
    flooder = crowd.device(crowd.person())
    waits = while_flooded(crowd, pour, flooder)
    assert waits[len(waits) * 9 // 10] < BEARABLE
    flooder.refresh()  # nobody told this device of what it had sent itself
    crowd.check()
    (notes,) = [room for room in crowd.ledger().values() if list(room.members) == [flooder.person.id]]
    assert [row.content for row in notes.rows] == [f"{number}" for number in range(FLOOD)]


def while_flooded(crowd: Crowd, how: Callable[[Client], None], flooder: Client) -> list[float]:
    """Let pairs of quiet users talk while somebody floods; return how long their acks took, the shortest first."""
    pairs = [crowd.persons(2) for _ in range(QUIET)]
    devices = [(crowd.device(ann), crowd.device(bob)) for ann, bob in pairs]
    with ThreadPoolExecutor(QUIET + 1) as threads:
        flooding = threads.submit(how, flooder)
        talkers = [threads.submit(chat, ann, bob.person, flooding) for ann, bob in devices]
        flooding.result()
        waits = [wait for talker in talkers for wait in talker.result()]
    assert len(waits) > QUIET * SAID
    return sorted(waits)


def flood(device: Client) -> None:
    """Send as fast as the connection takes it, far ahead of the answers."""
    ahead: deque[int] = deque()
    for number in range(FLOOD):
        ahead.append(device.post("message.send", toUser=device.person.id, content=f"{number}"))
        if len(ahead) == AHEAD:
            device.reply(ahead.popleft())
    for number in ahead:
        device.reply(number)


def pour(device: Client) -> None:
    """Send as fast as the connection takes it, and ask for no answer but the last, which stands behind all."""
    for number in range(FLOOD):
        device.pour("message.send", toUser=device.person.id, content=f"{number}")
    device.reply(device.post("ping"), POURED_WITHIN)


def chat(device: Client, peer: Person, flooding: Future[None]) -> list[float]:
    """Send one message after the other while somebody floods; return how long each ack took."""
    waits: list[float] = []
    while not flooding.done():
        begun = time.monotonic()
        device.send(peer, f"quiet {len(waits)}")
        waits.append(time.monotonic() - begun)
    return waits


class Company:
    """A group in which somebody talks, and one of whose devices has stopped to read."""

    def __init__(self, broken: Deployment, crowd: Crowd):
        ann, bob, eve = crowd.persons(3)
        self.broken, self.crowd = broken, crowd
        self.group = ann.group(bob, eve)
        self.deaf = crowd.device(bob, receive_bytes=SMALL)
        self.beside = [crowd.device(bob), crowd.device(eve, "poll"), crowd.device(eve, "stream", web=1)]
        self.sender = crowd.device(ann)
        wait_for(lambda: self.figure(SOCKETS) == 3, HEALED, "nobody else to be connected to the first server")
        self.before = resident(broken)
        self.deaf.reading.clear()

    def figure(self, pattern: str) -> float:
        """Return what the first server tells of itself."""
        return one(figures(self.broken.web), pattern)

    @property
    def cut_off(self) -> bool:
        """Whether the server has ended the session of who does not read."""
        return self.figure(SOCKETS) == 2

    def talk(self) -> int:
        """Say a lot, which everybody else gets; return the seq of the last message."""
        numbers = [
            self.sender.post("message.send", conversationId=self.group, content=f"{place} {LARGE}")
            for place in range(40)
        ]
        last = int([self.sender.reply(number) for number in numbers][-1]["seq"])
        for device in self.beside:
            device.wait_seq(self.group, last, HEALED)
        return last

    def check(self, last: int) -> None:
        """Fail unless nobody was harmed, and who did not read is back and has everything."""
        assert resident(self.broken) < self.before + HARMLESS
        self.deaf.wait_seq(self.group, last, HEALED)
        self.crowd.check()


def test_a_client_that_reads_nothing_is_cut_off_comes_back_and_harms_nobody(broken: Deployment, crowd: Crowd) -> None:
    company = Company(broken, crowd)
    for _ in range(ROUNDS):
        last = company.talk()
        if company.cut_off:
            break
    company.deaf.reading.set()  # within the seconds in which it may still read why
    wait_for(lambda: company.deaf.bye.get("code") == "too_slow", HEALED, "the reason why it was cut off")
    company.check(last)
    assert 4409 in company.deaf.close_codes


def test_a_client_that_reads_nothing_for_long_finds_its_connection_ended_and_resumes(
    broken: Deployment, crowd: Crowd
) -> None:
    company = Company(broken, crowd)
    last = [company.talk() for _ in range(ROUNDS)][-1]
    assert company.cut_off
    wait_for(lambda: company.figure(SLOW) == 0, HEALED, "the server to let go of it")
    assert not company.deaf.close_codes
    company.deaf.reading.set()
    company.check(last)
    assert company.deaf.close_codes


def resident(deployment: Deployment) -> int:
    """Return the bytes that the web workers hold in memory."""
    found = 0
    for pid in (pid for web in deployment.webs for pid in web.workers()):
        found += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4_096
    return found
