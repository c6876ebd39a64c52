"""Messages over WebSocket to clients who poll: a closed loop as in closed_loop, the deliveries over HTTP."""

import select
import time
from collections import deque
from typing import Any

from bench.generator.crowd import Crowd, LostError
from bench.generator.http import Asker, HttpCrowd
from bench.generator.job import Job, mark
from bench.generator.ledger import Ledger
from bench.generator.tokens import mint

__all__ = ["run_polling"]

READY_SECONDS = 60.0
AT_ONCE = 8  # pollers who come for the first time, and are made users by it
DRAIN_SECONDS = 20.0  # what has not come by then is lost


def run_polling(job: Job) -> dict[str, Any]:
    """`users` senders, each with one receiver who polls; W messages outstanding each."""
    crowd = job.crowd()
    senders = crowd.make(f"s{index}" for index in range(job.users))
    pollers = Pollers(crowd, HttpCrowd(job.port, patient=True), [f"r{index}" for index in range(job.users)], job)
    crowd.open(senders, job.in_flight)
    ledger = Ledger(crowd, copies=1)
    for sender, receiver in zip(senders, pollers.askers, strict=True):
        ledger.targets[sender.user] = receiver.user.encode()
        for _ in range(job.window):
            ledger.send(sender)
    pump(crowd, pollers, ledger, job.warm_up)
    ledger.restart()
    mark("begin")
    began = time.perf_counter()
    pump(crowd, pollers, ledger, job.seconds)
    figures = ledger.figures(time.perf_counter() - began)
    mark("end", messages=ledger.finished)
    ledger.sending = False
    pump(crowd, pollers, ledger, DRAIN_SECONDS)
    return figures | ledger.faults()


class Pollers:
    """Clients whose next poll goes out as soon as the one before was answered."""

    def __init__(self, crowd: Crowd, http: HttpCrowd, users: list[str], job: Job) -> None:
        self.wire, self.http = crowd.wire, http
        self.askers = [Asker(user, mint(job.secret, user)) for user in users]
        waiting = deque(self.askers)
        under_way: set[Asker] = set()
        deadline = time.perf_counter() + READY_SECONDS
        while waiting or under_way:
            while waiting and len(under_way) < AT_ONCE:
                under_way.add(self._begin(waiting.popleft()))
            for _ in self.receive(1.0):
                pass
            under_way = {asker for asker in under_way if not asker.ready_at}
            if time.perf_counter() > deadline:
                raise LostError(f"{len(under_way)} pollers were not let in")

    def _begin(self, asker: Asker) -> Asker:
        self.http.connect(asker)
        self._poll(asker)
        return asker

    def _poll(self, asker: Asker) -> None:
        self.http.ask(asker, self.wire.poll(self.http.name, asker.token, asker.stand))

    def receive(self, timeout: float) -> Any:
        """One pass: the poller, what it read, when; its next poll is on its way."""
        for asker, body, now in self.http.receive(timeout):
            if not body:
                self._poll(asker)
                continue
            asker.stand, ready, readings = self.wire.polled(body, asker.stand)
            if ready and not asker.ready_at:
                asker.ready_at = now
            self._poll(asker)
            yield asker, readings, now


def pump(crowd: Crowd, pollers: Pollers, ledger: Ledger, seconds: float) -> None:
    """Play on for so long, or until nothing is outstanding."""
    deadline = time.perf_counter() + seconds
    while ledger.unfinished and (left := deadline - time.perf_counter()) > 0:
        crowd.flush()
        select.select([crowd, pollers.http], [], [], min(left, 0.5))
        for client, readings, now in crowd.receive(0):
            ledger.take(client, readings, now)
        for asker, readings, now in pollers.receive(0):
            ledger.take(asker, readings, now)
