"""What this server tells Prometheus of itself.

The hot path only adds to plain numbers: a library's counters would cost more than a message. At a scrape, which reaches
any one of the worker processes, each worker's numbers stand beside the others' under the label `worker`: every process
leaves its own in a folder every five seconds, and who is asked reads all of them. Without DATA_DIR one process tells of
itself only.
"""

import logging
import os
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import orjson
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

__all__ = ["Histogram", "Metrics"]

log = logging.getLogger(__name__)
BOUNDS = (0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.125, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds
LEFT_EVERY = 5.0  # seconds between two times that a process leaves its numbers
FRESH = 15.0  # seconds; a process that left nothing for so long is gone
FORGOTTEN = 3_600.0  # seconds after which the file of a process that is gone is removed
WORKERS = 256  # files that are read at a scrape; more processes of one host share no folder
Reading = Callable[[], float | Mapping[str, float]]
Numbers = dict[str, Any]


class Histogram:
    """Counts durations by bounds. Adding one costs 0.2 µs."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.total = 0.0

    def observe(self, seconds: float, times: int = 1) -> None:
        """Add a duration that so many things had."""
        self.counts[bisect_left(BOUNDS, seconds)] += times
        self.total += seconds * times

    def observe_batch(self, starts: list[float], now: float) -> None:
        """Add the durations from each of these moments to `now` (seconds of one clock).

        Hundreds share a few bounds, so each bound is looked up among them and not each of them among the bounds.
        """
        starts = sorted(starts)
        longer = len(starts)
        for place, bound in enumerate(BOUNDS):
            shorter = bisect_left(starts, now - bound, 0, longer)
            self.counts[place] += longer - shorter
            longer = shorter
            if not longer:
                break
        self.counts[-1] += longer
        self.total += now * len(starts) - sum(starts)


class Gauge(NamedTuple):
    """A number that is read at a scrape: `read` returns it, or one for each value of `label`."""

    help: str
    label: str
    read: Reading


class Metrics:
    """The numbers of this process. `errors` counts refusals by code; the node runs `loops`."""

    def __init__(self, data_dir: str = ""):
        self.send_to_ack = Histogram()
        self.send_to_delivery = Histogram()
        self.errors: Counter[str] = Counter()
        self.gauges: dict[str, Gauge] = {}
        self.collectors: list[Collector] = []  # of numbers that are not this process's own
        self._folder = Path(data_dir, "metrics") if data_dir else None
        self.loops: dict[str, Callable[[], None]] = {"metrics": self._run} if self._folder else {}

    def gauge(self, name: str, text: str, read: Reading, label: str = "") -> None:
        """Tell of a number that `read` returns at each scrape; what it raises leaves that number out."""
        self.gauges[name] = Gauge(text, label, read)

    def scrape(self) -> bytes:
        """Return the numbers of all workers in Prometheus's text format."""
        registry = CollectorRegistry()
        registry.register(_Told(self.gauges, {str(os.getpid()): self.numbers(), **self._others()}))
        for collector in self.collectors:
            registry.register(collector)
        return generate_latest(registry)

    def numbers(self) -> Numbers:
        """Return this process's numbers as plain JSON data."""
        return {
            "send_to_ack": {"counts": self.send_to_ack.counts, "total": self.send_to_ack.total},
            "send_to_delivery": {"counts": self.send_to_delivery.counts, "total": self.send_to_delivery.total},
            "errors": dict(self.errors),
            "gauges": {name: read for name, gauge in self.gauges.items() if (read := _read(name, gauge)) is not None},
        }

    def leave(self) -> None:
        """Leave this process's numbers where the others find them."""
        if self._folder is None:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            unfinished = self._folder / f"{os.getpid()}.new"
            unfinished.write_bytes(orjson.dumps(self.numbers()))
            unfinished.replace(self._folder / f"{os.getpid()}.json")
        except OSError as error:
            log.warning("This process's numbers could not be left in %s: %s", self._folder, error)

    def _run(self) -> None:
        while True:
            self.leave()
            time.sleep(LEFT_EVERY)

    def _others(self) -> dict[str, Numbers]:
        paths = sorted(self._folder.glob("*.json"))[:WORKERS] if self._folder else []
        found = ((path.stem, _left(path)) for path in paths if path.stem != str(os.getpid()))
        return {worker: numbers for worker, numbers in found if numbers is not None}


class _Told(Collector):
    """Puts the numbers of several workers into Prometheus's families."""

    def __init__(self, gauges: Mapping[str, Gauge], workers: Mapping[str, Numbers]):
        self._gauges = gauges
        self._workers = workers

    def collect(self) -> Iterable[Metric]:
        """Return every family."""
        yield self._histogram("send_to_ack", "From taking a message to its answer, after the commit.")
        yield self._histogram("send_to_delivery", "From taking a message to handing it to sessions of this process.")
        errors = CounterMetricFamily("chat_errors", "Refusals by code.", labels=["worker", "code"])
        for worker, numbers in self._workers.items():
            for code, count in numbers["errors"].items():
                errors.add_metric([worker, code], count)
        yield errors
        for name, gauge in self._gauges.items():
            yield self._gauge(name, gauge)

    def _histogram(self, name: str, text: str) -> Metric:
        family = HistogramMetricFamily(f"chat_{name}_seconds", text, labels=["worker"])
        for worker, numbers in self._workers.items():
            buckets, sofar = [], 0
            for bound, count in zip([*BOUNDS, "+Inf"], numbers[name]["counts"], strict=True):
                sofar += count
                buckets.append((str(bound), sofar))
            family.add_metric([worker], buckets, numbers[name]["total"])
        return family

    def _gauge(self, name: str, gauge: Gauge) -> Metric:
        labels = ["worker", gauge.label] if gauge.label else ["worker"]
        family = GaugeMetricFamily(f"chat_{name}", gauge.help, labels=labels)
        for worker, numbers in self._workers.items():
            value = numbers["gauges"].get(name)
            if isinstance(value, dict) and gauge.label:
                for label, number in value.items():
                    family.add_metric([worker, label], number)
            elif isinstance(value, int | float):
                family.add_metric([worker], value)
        return family


def _read(name: str, gauge: Gauge) -> float | dict[str, float] | None:
    try:
        value = gauge.read()
        return dict(value) if isinstance(value, Mapping) else float(value)
    except Exception:  # one number that cannot be had must not hide the others
        log.warning("The number %s could not be read.", name, exc_info=True)
        return None


def _left(path: Path) -> Numbers | None:
    """Return what another process left lately; sweep away what one that is gone left long ago."""
    try:
        age = time.time() - path.stat().st_mtime
        if age > FORGOTTEN:
            path.unlink(missing_ok=True)
        return orjson.loads(path.read_bytes()) if age < FRESH else None
    except (OSError, orjson.JSONDecodeError):
        return None
