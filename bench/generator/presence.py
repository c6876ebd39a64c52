"""How long until a private peer hears that a user came, left cleanly, was killed, or fell silent."""

import time
from typing import Any

from bench.generator.crowd import Client, Crowd, LostError
from bench.generator.job import Job
from bench.generator.latency import Summary, summarise
from bench.generator.wire import ACK, Reading

__all__ = ["run_presence"]

TURN_SECONDS = 1.3  # between two changes that one watcher hears of: ours are merged for a second
CHANGE_SECONDS = 15.0  # longest wait for a change that the server was told of
KILLED_SECONDS = 40.0  # the same for a connection that ended without a word
SETTLED_SECONDS = 6.0  # after its start a server of ours takes nobody for gone for a lease, 5 s
SILENT_SECONDS = 120.0  # the same for one that only fell silent


class Watch:
    """Changes that are awaited, each at the one watcher of the user it is about, and how long the seen ones took."""

    def __init__(self, crowd: Crowd, watcher_of: dict[str, Client]) -> None:
        self.crowd = crowd
        self.watcher_of = watcher_of
        self.pending: dict[tuple[str, bool], float] = {}

    def expect(self, user: str, online: bool) -> None:
        """The change begins now."""
        self.pending[user, online] = time.perf_counter()

    def settle(self, seconds: float) -> list[float]:
        """Wait for all that is expected, at most so long; the seconds that each took that came."""
        took: list[float] = []
        deadline = time.perf_counter() + seconds
        while self.pending and time.perf_counter() < deadline:
            self.crowd.flush()
            for client, readings, now in self.crowd.receive(0.5):
                took += self._take(client, readings, now)
        self.pending.clear()
        return took

    def _take(self, client: Client, readings: list[Reading], now: float) -> list[float]:
        news = [self.crowd.wire.presence(payload) for kind, _, payload in readings if kind != ACK]
        heard = [change for change in news if change in self.pending and self.watcher_of[change[0]] is client]
        return [now - self.pending.pop(change) for change in heard]


def run_presence(job: Job) -> dict[str, Any]:
    """`users` watchers, each with one peer that comes and goes."""
    crowd = job.crowd()
    watchers = crowd.make(f"b{index}" for index in range(job.users))
    movers = crowd.make(f"m{index}" for index in range(job.users))
    crowd.open(watchers + movers)
    _acquaint(crowd, watchers, movers)
    watch = Watch(crowd, {mover.user: watcher for mover, watcher in zip(movers, watchers, strict=True)})
    _idle(watch, time.perf_counter() + SETTLED_SECONDS)
    left, came = _come_and_go(watch, movers, job.cycles)
    figures = {"left": summarise(left), "came": summarise(came), "expected": job.users * job.cycles}
    figures["killed"] = _vanish(watch, movers, crowd.cut, KILLED_SECONDS)
    if job.silent:
        _return(watch, movers)
        figures["silent"] = _vanish(watch, movers, crowd.fall_silent, SILENT_SECONDS)
    return figures | {"gone": [why for _, why in crowd.gone[:3]]}


def _acquaint(crowd: Crowd, watchers: list[Client], movers: list[Client]) -> None:
    """A message makes two users private peers; where that is not enough the watcher asks."""
    unanswered = 0
    for number, (watcher, mover) in enumerate(zip(watchers, movers, strict=True)):
        commands = [
            (mover, crowd.wire.send(number, watcher.user.encode(), b"hello")),
            (watcher, crowd.wire.watch(number, [mover.user])),
        ]
        for client, payload in commands:
            if payload is not None:
                crowd.write(client, payload)
                unanswered += 1
    crowd.flush()
    deadline = time.perf_counter() + CHANGE_SECONDS
    while unanswered and time.perf_counter() < deadline:
        for _, readings, _ in crowd.receive(0.5):
            unanswered -= sum(kind == ACK for kind, _, _ in readings)
    if unanswered:
        raise LostError(f"{unanswered} commands were not answered")


def _come_and_go(watch: Watch, movers: list[Client], cycles: int) -> tuple[list[float], list[float]]:
    left: list[float] = []
    came: list[float] = []
    for _ in range(cycles):
        left += _turn(watch, movers, online=False)
        came += _turn(watch, movers, online=True)
    return left, came


def _turn(watch: Watch, movers: list[Client], online: bool) -> list[float]:
    """Each mover in turn, one at a time."""
    took: list[float] = []
    began = time.perf_counter()
    for mover in movers:
        watch.expect(mover.user, online)
        if online:
            watch.crowd.connect(mover)
        else:
            watch.crowd.leave(mover)
        took += watch.settle(CHANGE_SECONDS)
    _idle(watch, began + TURN_SECONDS)
    return took


def _return(watch: Watch, movers: list[Client]) -> None:
    for mover in movers:
        watch.expect(mover.user, online=True)
        watch.crowd.connect(mover)
    watch.settle(CHANGE_SECONDS)


def _vanish(watch: Watch, movers: list[Client], how: Any, seconds: float) -> Summary:
    _idle(watch, time.perf_counter() + TURN_SECONDS)
    for mover in movers:
        watch.expect(mover.user, online=False)
        how(mover)
    return summarise(watch.settle(seconds))


def _idle(watch: Watch, until: float) -> None:
    while (left := until - time.perf_counter()) > 0:
        for _ in watch.crowd.receive(left):
            pass
        watch.crowd.flush()
