"""A door to each worker: a connection that this one took, for what one worker keeps to itself, others do not show."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import requests

from tests.chaos.field import Field
from tests.clients.person import Person, call_rest
from tests.deployment import wait_for

__all__ = ["Door", "doors"]

MOMENT = 0.5  # seconds for which a worker may stand still and be noticed by nobody
OPENED_WITHIN = 20.0  # seconds for all attempts at one door


class Door:
    """Keeps one connection. `name`: whose it is."""

    def __init__(self, url: str, name: str):
        self.url, self.name = url, name
        self._http = requests.Session()

    def call(self, person: Person, path: str, data: Any = None) -> Any:
        """Ask as somebody. Raises Refused or Lost."""
        return call_rest(self._http, self.url, person.token, "GET", path, data)

    def open(self) -> bool:
        """Make the connection; tell whether that was done in time."""
        try:
            return self._http.get(f"{self.url}/healthz", timeout=MOMENT).ok
        except requests.RequestException:
            self._http.close()
            return False

    def close(self) -> None:
        """Let go of it."""
        self._http.close()


@contextmanager
def doors(field: Field) -> Iterator[list[Door]]:
    """Give a door to each worker, made while the other ones of its server stand still for a moment."""
    workers = field.workers()
    found: list[Door] = []
    try:
        for web, pid in workers:
            others = [other for place, other in workers if place == web and other != pid]
            door = Door(field.webs[web].url, f"worker {pid} of {field.webs[web].url}")
            found.append(door)
            wait_for(lambda door=door, others=others: _opened(door, others), OPENED_WITHIN, door.name)
        yield found
    finally:
        for door in found:
            door.close()


def _opened(door: Door, others: list[int]) -> bool:
    """Tell whether a door was made; if that takes longer than nobody notices, the others go on first."""
    with _still(others):
        return door.open()


@contextmanager
def _still(pids: list[int]) -> Iterator[None]:
    try:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
