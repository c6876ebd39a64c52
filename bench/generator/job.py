"""What the runner asks of the generator, and how the two talk: lines of JSON over stdin and stdout."""

import json
import sys
from dataclasses import dataclass
from typing import Any

from bench.generator.crowd import Crowd
from bench.generator.native import Native
from bench.generator.socketio import SocketIO
from bench.generator.wire import Wire

__all__ = ["Job", "halt", "mark", "report"]

WIRES: dict[str, type[Wire]] = {"native": Native, "socketio": SocketIO}


@dataclass(frozen=True, slots=True)
class Job:
    """One row against one server. What its numbers mean is the row's."""

    kind: str
    wire: str
    port: int
    secret: str
    users: int = 2
    window: int = 1
    seconds: float = 3.0
    warm_up: float = 1.0
    in_flight: int = 64
    rate: float = 10.0
    groups: int = 50
    cycles: int = 5
    silent: bool = False
    flooding: bool = False

    def crowd(self) -> Crowd:
        """No clients yet, but the means to make them."""
        return Crowd(WIRES[self.wire](), self.port, self.secret)


def mark(name: str, **figures: Any) -> None:
    """Tell the runner how far we are, so that it reads clocks and counters now."""
    print(json.dumps({"mark": name, **figures}), flush=True)


def halt(name: str, **figures: Any) -> None:
    """The same, and wait until the runner has read them."""
    mark(name, halted=True, **figures)
    sys.stdin.readline()


def report(figures: dict[str, Any]) -> None:
    """The result; the last line."""
    print(json.dumps({"result": figures}), flush=True)
