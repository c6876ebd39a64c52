"""How fast unread counts are told: readers in the same 50 groups ask on and on, each as soon as it was answered."""

import select
import time
from array import array
from typing import Any

from bench.generator.crowd import Client, Crowd, LostError
from bench.generator.http import Asker, HttpCrowd
from bench.generator.job import Job, mark
from bench.generator.latency import summarise
from bench.generator.tokens import mint
from bench.generator.wire import ACK, REFUSED

__all__ = ["run_unread"]

SETTLE_SECONDS = 20.0  # for everything that is written to be counted
UNREAD = 3  # messages in each group that nobody has read
FIRST = 1_000_000  # number of the first message; below are the groups'


class Talk:
    """A sender in all groups, and how many messages are written."""

    def __init__(self, crowd: Crowd, sender: Client, readers: list[Client], groups: int) -> None:
        self.crowd, self.sender = crowd, sender
        self.groups: list[bytes] = []
        self.sent = self.acked = 0
        for number in range(groups):
            crowd.write(sender, crowd.wire.create_group(number, f"group {number}", [one.user for one in readers]))
            self._await(lambda number=number: len(self.groups) > number)
        for _ in range(UNREAD * groups):
            self.send()
            self._await(lambda: self.acked == self.sent)

    def send(self) -> None:
        """One more message, in the next group."""
        group = b"group:" + self.groups[self.sent % len(self.groups)]
        self.crowd.write(self.sender, self.crowd.wire.send(FIRST + self.sent, group, b"u"))
        self.sent += 1

    def listen(self, timeout: float) -> None:
        """Take what came over the sockets. Raises LostError for a refusal."""
        self.crowd.flush()
        for client, readings, _ in self.crowd.receive(timeout):
            for kind, number, payload in readings if client is self.sender else ():
                if kind == REFUSED:
                    raise LostError(payload.decode()[:200])
                if kind == ACK and number >= FIRST:
                    self.acked += 1
                elif kind == ACK:
                    self.groups.append(self.crowd.wire.created_id(payload).encode())

    def _await(self, done: Any) -> None:
        deadline = time.perf_counter() + SETTLE_SECONDS
        while not done():
            if time.perf_counter() > deadline or self.crowd.gone:
                raise LostError(f"the groups were not made; {self.crowd.gone[:1]}")
            self.listen(0.5)


def run_unread(job: Job) -> dict[str, Any]:
    """Closed loop of `users` readers, each over one connection; meanwhile `rate` messages a second are written."""
    crowd = job.crowd()
    clients = crowd.make(f"b{index}" for index in range(job.users + 1))
    crowd.open(clients, job.in_flight)
    talk = Talk(crowd, clients[0], clients[1:], job.groups)
    for client in clients[1:]:
        crowd.leave(client)
    readers = [Asker(client.user, mint(job.secret, client.user)) for client in clients[1:]]
    http = HttpCrowd(job.port)
    for reader in readers:
        http.connect(reader)
    _settle(http, readers, talk)
    return _read(http, readers, talk, job)


def _settle(http: HttpCrowd, readers: list[Asker], talk: Talk) -> None:
    """Until everybody is told what is true. Raises LostError."""
    deadline = time.perf_counter() + SETTLE_SECONDS
    waiting = set(readers)
    for reader in readers:
        _ask(http, reader, talk)
    told = (0, 0)
    while waiting:
        if time.perf_counter() > deadline:
            raise LostError(f"{told} conversations and messages are told, {len(talk.groups), talk.sent} are true")
        for reader, body, _ in http.receive(0.5):
            told = talk.crowd.wire.unread(body)
            if told == (len(talk.groups), talk.sent):
                waiting.discard(reader)
            else:
                _ask(http, reader, talk)


def _ask(http: HttpCrowd, reader: Asker, talk: Talk) -> None:
    http.ask(reader, talk.crowd.wire.ask_unread(http.name, reader.token))


def _read(http: HttpCrowd, readers: list[Asker], talk: Talk, job: Job) -> dict[str, Any]:
    requests = {reader.fd: talk.crowd.wire.ask_unread(http.name, reader.token) for reader in readers}
    began = time.perf_counter()
    due, counting, latency, size = began, False, array("d"), 0
    for reader in readers:
        http.ask(reader, requests[reader.fd])
    while (now := time.perf_counter()) < began + job.seconds + (0 if counting else job.warm_up):
        if not counting and now > began + job.warm_up:
            counting, began = True, now
            mark("begin")
        if job.rate and now >= due:
            talk.send()
            due += 1 / job.rate
        select.select([http, talk.crowd], [], [], 0.01)
        talk.listen(0)
        for reader, body, at in http.receive(0):
            if counting:
                latency.append(at - reader.asked_at)
            size = len(body)
            http.ask(reader, requests[reader.fd])
    seconds = time.perf_counter() - began
    mark("end", messages=len(latency))
    for _ in range(len(readers)):  # those under way
        next(_answers(http))
    _settle(http, readers, talk)
    figures = {"seconds": seconds, "answers": len(latency), "answer": summarise(latency), "bytes": size}
    return figures | {"gone": [why for _, why in talk.crowd.gone[:3]]}


def _answers(http: HttpCrowd) -> Any:
    deadline = time.perf_counter() + SETTLE_SECONDS
    while time.perf_counter() < deadline:
        yield from http.receive(0.5)
    raise LostError("a question was not answered")
