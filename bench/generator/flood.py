"""Twenty quiet users who send at a steady pace, alone or beside one who sends all that the server will take."""

import random
import time
from typing import Any

from bench.generator.crowd import Client, Crowd
from bench.generator.job import Job, mark
from bench.generator.latency import summarise
from bench.generator.wire import ACK, DELIVERY, REFUSED

__all__ = ["run_flood"]

FLOOD_RATE = 50_000  # messages a second at most: more than any server here can store on one core
CHUNK = 64  # messages of the flooder queued at a time
FLOOD_NUMBERS = 1_000_000_000  # from here on the numbers are the flooder's
DRAIN_SECONDS = 10.0


class QuietUsers:
    """Open loop: a message is due when the clock says so, and its latency runs from then, sent late or not."""

    def __init__(self, crowd: Crowd, clients: list[Client], rate: float) -> None:
        self.crowd = crowd
        self.clients = clients
        self.pause = 1 / rate
        now = time.perf_counter()
        self.due = [now + random.random() * self.pause for _ in clients]
        self.run = b"%x" % random.getrandbits(40)
        self.due_at: list[float] = []
        self.waiting: dict[int, float] = {}
        self.acks: list[float] = []
        self.deliveries: list[float] = []

    def send_due(self) -> float:
        """Send what is due; the seconds until there is more."""
        now = time.perf_counter()
        for index, client in enumerate(self.clients):
            if self.due[index] <= now:
                self._send(client, self.clients[index ^ 1], self.due[index])
                self.due[index] += self.pause
        return max(min(self.due) - now, 0.0)

    def _send(self, client: Client, partner: Client, due: float) -> None:
        number = len(self.due_at)
        self.due_at.append(due)
        self.waiting[number] = due
        self.crowd.write(client, self.crowd.wire.send(number, partner.user.encode(), self.run))

    def take(self, kind: int, number: int, now: float) -> None:
        """Book an ack or a delivery of theirs."""
        if kind == ACK and self.waiting.pop(number, None) is not None:
            self.acks.append(now - self.due_at[number])
        elif kind == DELIVERY:
            self.deliveries.append(now - self.due_at[number])

    def give_up(self) -> int:
        """Count who never got an answer, with the time that they have waited until now as their latency."""
        now = time.perf_counter()
        self.acks += [now - due for due in self.waiting.values()]
        return len(self.waiting)


class Flooder:
    """Sends without waiting for anything, as much as its socket takes."""

    def __init__(self, crowd: Crowd, client: Client, sink: bytes) -> None:
        self.crowd = crowd
        self.client = client
        self.sink = sink
        self.run = b"%x" % random.getrandbits(40)
        self.began = time.perf_counter()
        self.sent = self.acked = self.refused = 0

    def pour(self) -> None:
        """A chunk, if the socket is free and the rate allows."""
        allowed = (time.perf_counter() - self.began) * FLOOD_RATE
        if self.sent > allowed or self.crowd.is_blocked(self.client) or self.client.fd not in self.crowd.by_fd:
            return
        for _ in range(CHUNK):
            self.crowd.write(self.client, self.crowd.wire.send(FLOOD_NUMBERS + self.sent, self.sink, self.run))
            self.sent += 1

    def take(self, kind: int) -> None:
        """Book an answer."""
        self.acked += kind == ACK
        self.refused += kind == REFUSED


def run_flood(job: Job) -> dict[str, Any]:
    """The quiet users' latencies, with `flooding` or without."""
    crowd = job.crowd()
    clients = crowd.make(f"b{index}" for index in range(job.users))
    hog, sink = crowd.make(["hog", "sink"])
    crowd.open([*clients, hog, sink])
    crowd.leave(sink)
    quiet = QuietUsers(crowd, clients, job.rate)
    _play(crowd, quiet, None, job.warm_up)
    quiet.acks.clear()
    quiet.deliveries.clear()
    flooder = Flooder(crowd, hog, sink.user.encode())
    mark("begin")
    began = time.perf_counter()
    _play(crowd, quiet, flooder if job.flooding else None, job.seconds)
    seconds = time.perf_counter() - began
    mark("end", messages=len(quiet.acks) + flooder.acked)
    flood = {"per_second": flooder.acked / seconds, "sent": flooder.sent, "refused": flooder.refused}
    _drain(crowd, quiet)
    unanswered = quiet.give_up()
    figures = {"ack": summarise(quiet.acks), "delivery": summarise(quiet.deliveries), "unanswered": unanswered}
    return figures | {"flood": flood, "gone": [why for _, why in crowd.gone[:3]]}


def _play(crowd: Crowd, quiet: QuietUsers, flooder: Flooder | None, seconds: float) -> None:
    deadline = time.perf_counter() + seconds
    while time.perf_counter() < deadline:
        pause = quiet.send_due()
        if flooder is not None:
            flooder.pour()
            pause = min(pause, CHUNK / FLOOD_RATE)
        crowd.flush()
        _receive(crowd, quiet, flooder, min(pause, 0.5))


def _drain(crowd: Crowd, quiet: QuietUsers) -> None:
    deadline = time.perf_counter() + DRAIN_SECONDS
    while quiet.waiting and time.perf_counter() < deadline:
        crowd.flush()
        _receive(crowd, quiet, None, 0.5)


def _receive(crowd: Crowd, quiet: QuietUsers, flooder: Flooder | None, timeout: float) -> None:
    for _, readings, now in crowd.receive(timeout):
        for kind, number, _ in readings:
            if number < FLOOD_NUMBERS:
                quiet.take(kind, number, now)
            elif flooder is not None:
                flooder.take(kind)
