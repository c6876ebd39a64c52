"""One job of the generator against one server, with the clocks and counters read when the generator says so."""

import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from bench import machine
from bench.stage import Stage

__all__ = ["Figures", "play"]

Figures = dict[str, Any]
ROOT = Path(__file__).resolve().parent.parent
LONGEST_SECONDS = 300.0  # for one job: the longest there is waits 120 s for a client that fell silent


class Probe:
    """Reads what everybody has used; two readings make the figures of what lies between."""

    def __init__(self, stage: Stage, server: int, generator: int) -> None:
        self.stage = stage
        self.server = server
        self.generator = generator
        self.readings: dict[str, Figures] = {}

    def read(self, mark: Figures) -> None:
        """Take everything down, at this mark."""
        pids = machine.tree(self.server)
        self.readings[mark["mark"]] = mark | {
            "at": time.perf_counter(),
            "cpu": self._cpu(pids),
            "rss": machine.resident_bytes(pids),
            "descriptors": machine.descriptors(pids),
            "commits": self.stage.commits(),
            "statements": self.stage.logged_statements(),
        }

    def _cpu(self, server: list[int]) -> dict[str, float]:
        known = {"server": machine.cpu_seconds(server), "generator": machine.cpu_seconds([self.generator])}
        known |= self.stage.cpu()
        return known | {"others": machine.busy_seconds() - sum(known.values())}

    def figures(self) -> Figures:
        """What the marks `begin` and `end`, or `empty` and `full`, tell."""
        if "end" in self.readings:
            return self._load(self.readings["begin"], self.readings["end"])
        if "full" in self.readings:
            return self._hold(self.readings["empty"], self.readings["full"])
        return {}

    def _load(self, begin: Figures, end: Figures) -> Figures:
        seconds, messages = end["at"] - begin["at"], max(end["messages"], 1)
        used = {name: end["cpu"][name] - begin["cpu"][name] for name in end["cpu"]}
        return {
            "cpu": {name: value / seconds for name, value in used.items()},
            "server_us": used["server"] / messages * 1e6,
            "commits_each": (end["commits"] - begin["commits"]) / messages,
            "statements_each": (end["statements"] - begin["statements"]) / messages,
        }

    def _hold(self, empty: Figures, full: Figures) -> Figures:
        each = {name: (full[name] - empty[name]) / full["connections"] for name in ("rss", "descriptors")}
        return {"bytes_each": each["rss"], "descriptors_each": each["descriptors"], "empty_rss": empty["rss"]}


def play(stage: Stage, server: int, job: Figures) -> Figures:
    """Run the job to its end and return its figures, with those of the probe. Raises RuntimeError if it fails."""
    command = [sys.executable, "-m", "bench.generator"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as generator:
        limit = threading.Timer(LONGEST_SECONDS, generator.kill)
        limit.start()
        probe = Probe(stage, server, generator.pid)
        try:
            figures = _converse(generator, probe, job)
        finally:
            limit.cancel()
            limit.join()
    if figures is None:
        raise RuntimeError(f"the generator ended without a result for {job}")
    return figures | probe.figures()


def _converse(generator: subprocess.Popen[str], probe: Probe, job: Figures) -> Figures | None:
    assert generator.stdout is not None
    _say(generator, job)
    for line in generator.stdout:
        said = json.loads(line)
        if "result" in said:
            return dict(said["result"])
        probe.read(said)
        if said.get("halted"):
            _say(generator, "go on")
    return None


def _say(generator: subprocess.Popen[str], word: Any) -> None:
    assert generator.stdin is not None
    generator.stdin.write(json.dumps(word) + "\n")
    generator.stdin.flush()
