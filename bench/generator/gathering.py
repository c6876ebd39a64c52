"""Rows of mere connections: how fast they are let in, and what each one holds."""

import time
from typing import Any

from bench.generator.crowd import Client, Crowd
from bench.generator.job import Job, halt, mark
from bench.generator.latency import summarise

__all__ = ["run_accept", "run_idle"]

SETTLE_SECONDS = 3.0  # for what a handshake leaves behind: garbage, closed requests


def run_accept(job: Job) -> dict[str, Any]:
    """Everybody comes, leaves, and comes again with the same token; the second coming counts, as after a restart."""
    crowd = job.crowd()
    clients = crowd.make(f"b{index}" for index in range(job.users))
    first = _gather(crowd, clients, job)
    for client in clients:
        crowd.leave(client)
    time.sleep(SETTLE_SECONDS)
    mark("begin")
    again = _gather(crowd, clients, job)
    mark("end", messages=len(clients))
    return again | {"first_per_second": first["per_second"], "gone": [why for _, why in crowd.gone[:3]]}


def run_idle(job: Job) -> dict[str, Any]:
    """Everybody comes and stays, saying nothing, while the runner looks at the server."""
    crowd = job.crowd()
    # A few come first: what the first connection ever loads is no cost of a connection.
    crowd.open(crowd.make(f"w{index}" for index in range(20)))
    _stay(crowd, SETTLE_SECONDS)
    halt("empty")
    clients = crowd.make(f"b{index}" for index in range(job.users))
    figures = _gather(crowd, clients, job)
    _stay(crowd, SETTLE_SECONDS)
    halt("full", connections=len(clients))
    return figures | {"connections": len(clients), "gone": [why for _, why in crowd.gone[:3]]}


def _gather(crowd: Crowd, clients: list[Client], job: Job) -> dict[str, Any]:
    began = time.perf_counter()
    crowd.open(clients, job.in_flight)
    seconds = time.perf_counter() - began
    handshakes = summarise(client.ready_at - client.began for client in clients)
    return {"per_second": len(clients) / seconds, "handshake": handshakes}


def _stay(crowd: Crowd, seconds: float) -> None:
    deadline = time.perf_counter() + seconds
    while (left := deadline - time.perf_counter()) > 0:
        for _ in crowd.receive(left):
            pass
        crowd.flush()
