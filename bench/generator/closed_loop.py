"""Closed loops: each sender keeps W messages outstanding; a slot is free when acked and delivered to all."""

import time
from typing import Any

from bench.generator.crowd import Client, Crowd, LostError
from bench.generator.job import Job, mark
from bench.generator.ledger import Ledger
from bench.generator.wire import ACK

__all__ = ["run_group", "run_pairs"]

DRAIN_SECONDS = 20.0  # what has not come by then is lost


def run_pairs(job: Job) -> dict[str, Any]:
    """Users write to each other two by two, both ways at once."""
    crowd = job.crowd()
    clients = crowd.make(f"b{index}" for index in range(job.users))
    crowd.open(clients, job.in_flight)
    ledger = Ledger(crowd, copies=1)
    for index, client in enumerate(clients):
        ledger.targets[client.user] = clients[index ^ 1].user.encode()
    return _drive(crowd, ledger, clients, job)


def run_group(job: Job) -> dict[str, Any]:
    """One member of a group writes to all the others."""
    crowd = job.crowd()
    clients = crowd.make(f"b{index}" for index in range(job.users))
    crowd.open(clients, job.in_flight)
    sender = clients[0]
    ledger = Ledger(crowd, copies=job.users - 1)
    ledger.targets[sender.user] = b"group:" + _create_group(crowd, sender, clients[1:]).encode()
    return _drive(crowd, ledger, [sender], job)


def _create_group(crowd: Crowd, owner: Client, members: list[Client]) -> str:
    crowd.write(owner, crowd.wire.create_group(0, "everybody", [client.user for client in members]))
    crowd.flush()
    deadline = time.perf_counter() + DRAIN_SECONDS
    while time.perf_counter() < deadline:
        for _, readings, _ in crowd.receive(1.0):
            for kind, _, payload in readings:
                if kind == ACK:
                    return crowd.wire.created_id(payload)
    raise LostError(f"the group was not made; {crowd.gone[:1]}")


def _drive(crowd: Crowd, ledger: Ledger, senders: list[Client], job: Job) -> dict[str, Any]:
    for client in senders:
        for _ in range(job.window):
            ledger.send(client)
    _pump(crowd, ledger, job.warm_up)
    ledger.restart()
    mark("begin")
    began = time.perf_counter()
    _pump(crowd, ledger, job.seconds)
    seconds = time.perf_counter() - began
    mark("end", messages=ledger.finished)
    figures = ledger.figures(seconds)
    ledger.sending = False
    _pump(crowd, ledger, DRAIN_SECONDS)
    return figures | ledger.faults()


def _pump(crowd: Crowd, ledger: Ledger, seconds: float) -> None:
    """Play on for so long, or until nothing is outstanding, or everybody is gone."""
    deadline = time.perf_counter() + seconds
    while ledger.unfinished and crowd.by_fd and (left := deadline - time.perf_counter()) > 0:
        crowd.flush()
        for client, readings, now in crowd.receive(min(left, 0.5)):
            ledger.take(client, readings, now)
