"""What the kernel tells: processor time, memory and descriptors of process trees, and what machine this is."""

import os
import platform
import shutil
import subprocess
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

__all__ = [
    "SERVER_CORE",
    "SIDE_CORE",
    "busy_seconds",
    "cpu_seconds",
    "describe",
    "descriptors",
    "pin",
    "resident_bytes",
    "tree",
]

SERVER_CORE, SIDE_CORE = 0, 1  # the server alone on the first; generator, PostgreSQL and Redis on the second
TICK = 1 / os.sysconf("SC_CLK_TCK")  # seconds
PAGE = os.sysconf("SC_PAGE_SIZE")  # bytes


def pin(core: int) -> None:
    """Keep this process, and what it starts from now on, on one core (the only one, where there is but one)."""
    cores = sorted(os.sched_getaffinity(0) | set(range(os.cpu_count() or 1)))
    os.sched_setaffinity(0, {cores[core % len(cores)]})


def tree(root: int) -> list[int]:
    """A process and all its descendants that are alive."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        fields = _stat(int(entry.name))
        if fields:
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time of these processes and of the children they have outlived."""
    return sum(sum(map(int, _stat(pid)[11:15])) for pid in pids if _stat(pid)) * TICK


def busy_seconds() -> float:
    """Processor time that the whole machine has used, whoever used it: all but idle and waiting for a disk."""
    times = list(map(int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]))
    return (sum(times) - times[3] - times[4]) * TICK


def _stat(pid: int) -> list[str]:
    """/proc/PID/stat after the name: [0] is the state, [1] the parent, [11:15] the times; [] if the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return []


def resident_bytes(pids: Iterable[int]) -> int:
    """Resident memory of these processes; pages that they share are counted for each."""
    return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids) * PAGE


def descriptors(pids: Iterable[int]) -> int:
    """Open descriptors of these processes."""
    return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids)


def describe(postgres: str, redis: str) -> list[str]:
    """The machine and the versions of everything that takes part, one line each."""
    names = ("gevent", "flask", "psycopg", "flask-socketio", "python-socketio")
    python = ", ".join(f"{name} {version(name)}" for name in names)
    return [
        f"{os.cpu_count()} × {_processor()}, Linux {platform.release()}",
        f"PostgreSQL {postgres}, Redis {redis}, Python {platform.python_version()}, Node {_node()}",
        python,
    ]


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _node() -> str:
    node = shutil.which("node")
    return subprocess.check_output([node, "--version"], text=True).strip() if node else "missing"
