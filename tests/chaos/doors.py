"""A door to each worker: a connection that this one took, for what one worker keeps to itself, others do not show."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import requests

from tests.chaos.field import Field
from tests.clients.person import Person, call_rest

__all__ = ["Door", "doors"]


class Door:
    """Keeps one connection. `name`: whose it is."""

    def __init__(self, url: str, name: str):
        self.url, self.name = url, name
        self._http = requests.Session()

    def call(self, person: Person, path: str, data: Any = None) -> Any:
        """Ask as somebody. Raises Refused or Lost."""
        return call_rest(self._http, self.url, person.token, "GET", path, data)

    def close(self) -> None:
        """Let go of it."""
        self._http.close()


@contextmanager
def doors(field: Field, person: Person) -> Iterator[list[Door]]:
    """Give a door to each worker, made while the other ones of its server stand still for a moment."""
    workers = field.workers()
    found: list[Door] = []
    try:
        for web, pid in workers:
            others = [other for place, other in workers if place == web and other != pid]
            door = Door(field.webs[web].url, f"worker {pid} of {field.webs[web].url}")
            found.append(door)
            with _still(others):
                door.call(person, "/users/me")
        yield found
    finally:
        for door in found:
            door.close()


@contextmanager
def _still(pids: list[int]) -> Iterator[None]:
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
