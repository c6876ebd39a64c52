"""What tests need to know of processes and of time: wait for a condition, see who is there."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

ROOT = Path(__file__).parents[2]
DEADLINE = 30.0  # seconds for anything that must happen; far beyond what it takes, for machines that are busy

T = TypeVar("T")


def until(condition: Callable[[], T], what: str, seconds: float = DEADLINE) -> T:
    """Wait until `condition` is true, and return what it said."""
    deadline = time.monotonic() + seconds
    while not (said := condition()):
        assert time.monotonic() < deadline, f"never happened: {what}"
        time.sleep(0.01)
    return said


class Process(NamedTuple):
    pid: int
    parent: int
    started: str
    command: str


def running() -> list[Process]:
    """Every process that is there and not dead."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            command = (entry / "cmdline").read_text().replace("\0", " ").strip()
        except OSError:
            continue
        if fields[0] != "Z":
            found.append(Process(int(entry.name), int(fields[1]), fields[19], command))
    return found


def descendants(pid: int) -> list[Process]:
    """The process and all that it started, and they in turn."""
    there = running()
    pids = {pid}
    while more := {process.pid for process in there if process.parent in pids} - pids:
        pids |= more
    return [process for process in there if process.pid in pids]


def left_of(processes: list[Process]) -> list[Process]:
    """Those of the processes that are still there."""
    still = {(process.pid, process.started) for process in running()}
    return [process for process in processes if (process.pid, process.started) in still]


def gone(pid: int) -> bool:
    return pid not in {process.pid for process in running()}


def plain_environ(**more: str) -> dict[str, str]:
    """The environment without what would change the server under test."""
    ours = ("DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL", "JWT_SECRET", "HOST", "PORT", "DATA_DIR", "WORKERS")
    return {**{name: value for name, value in os.environ.items() if name not in ours}, **more}
