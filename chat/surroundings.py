"""Numbers of what this server stands on, read at a scrape: PostgreSQL, Redis, Celery with its broker, disk, storage.

They are the same whichever process is asked, so they stand without the label `worker`. Whatever does not answer is told
as not there (`chat_part_up`), and holds up the others and the scrape for a second at most.
"""

import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import orjson
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from redis import Redis
from sqlalchemy import Engine, text

from chat.health import HEARTBEAT
from chat.inquiry import Inquiry
from tasks.queue import waiting

__all__ = ["Surroundings"]

WAIT_SECONDS = 1.0  # for all parts together: a scrape has ten by default, and other numbers wait for it
DRIFT = "unread:drift"  # the hash in which tasks/unread_sync.py tells what it found
DUTIES = "celery:duties"  # the hash in which tasks/record.py notes what became of each
Numbers = list[Metric]


class Surroundings(Collector):
    """What Prometheus is told beside a process's own numbers."""

    def __init__(self, engine: Engine, redis: Redis, config: Mapping[str, Any], storage_is_there: Callable[[], bool]):
        prefix = config["REDIS_PREFIX"]
        parts = {
            "database": partial(database_numbers, engine),
            "redis": partial(redis_numbers, redis),
            "tasks": partial(task_numbers, redis, prefix),
            "broker": partial(broker_numbers, config),
            "storage": partial(storage_numbers, storage_is_there),
        }
        if config["DATA_DIR"]:
            parts["disk"] = partial(disk_numbers, config["DATA_DIR"])
        self._inquiry: Inquiry[Numbers] = Inquiry(parts)

    def collect(self) -> Iterable[Metric]:
        """Return every family."""
        up = GaugeMetricFamily("chat_part_up", "Whether a part answered within a second.", labels=["part"])
        for part, numbers in self._inquiry.ask(WAIT_SECONDS).items():
            up.add_metric([part], int(numbers is not None))
            yield from numbers or ()
        yield up


def database_numbers(engine: Engine) -> Numbers:
    """Return what PostgreSQL says of itself."""
    with engine.connect() as connection:
        row = connection.execute(text(DATABASE)).one()
    return [
        _gauge("database_connections", "Connections to the database, of everybody.", row.connections),
        _gauge("database_max_connections", "Connections that PostgreSQL allows, over all databases.", row.most),
        _gauge("database_size_bytes", "Bytes of the database on disk.", row.size),
        _gauge("database_oldest_transaction_seconds", "Age of the oldest open transaction.", row.oldest),
    ]


def redis_numbers(redis: Redis) -> Numbers:
    """Return what Redis says of itself."""
    info: Any = redis.info()
    return [
        _gauge("redis_memory_bytes", "Bytes that Redis uses.", info["used_memory"]),
        _gauge("redis_max_memory_bytes", "Bytes that it may use; 0: no bound.", info["maxmemory"]),
        _gauge("redis_clients", "Connections to Redis.", info["connected_clients"]),
        _counter("redis_evicted_keys", "Keys that Redis gave up for want of memory.", info["evicted_keys"]),
    ]


def task_numbers(redis: Redis, prefix: str) -> Numbers:
    """Return when Celery was last alive and what became of each duty. Never alive, or not for a minute: infinity."""
    beat: Any = redis.get(prefix + HEARTBEAT)
    age = max(0.0, time.time() - orjson.loads(beat)["time"]) if beat else float("inf")
    kept: Any = redis.hgetall(prefix + DUTIES)
    drift: Any = redis.hgetall(prefix + DRIFT)
    records = {name.decode(): orjson.loads(record) for name, record in kept.items()}
    return [
        _gauge("tasks_heartbeat_age_seconds", "Since beat, broker and a worker last did a task together.", age),
        _of_duties(CounterMetricFamily, "duty_runs", "Runs of a duty.", "runs", records),
        _of_duties(CounterMetricFamily, "duty_failures", "Runs of a duty that failed.", "failures", records),
        _of_duties(
            GaugeMetricFamily, "duty_last_success_timestamp_seconds", "When it last succeeded.", "lastSuccess", records
        ),
        _of_duties(GaugeMetricFamily, "duty_seconds", "How long its last run took.", "seconds", records),
        _counter("unread_keys_checked", "Unread keys in Redis compared.", float(drift.get(b"checked", 0))),
        _counter("unread_keys_drifted", "Those that were wrong, and mended.", float(drift.get(b"found", 0))),
    ]


def broker_numbers(config: Mapping[str, Any]) -> Numbers:
    """Return how many tasks wait."""
    return [_gauge("tasks_waiting", "Tasks in the queue that no worker has taken yet.", waiting(config))]


def disk_numbers(folder: str) -> Numbers:
    """Return the room where uploads and the embedded servers' files lie."""
    usage = shutil.disk_usage(folder)
    return [
        _gauge("disk_free_bytes", "Free bytes where DATA_DIR is.", usage.free),
        _gauge("disk_size_bytes", "All bytes there.", usage.total),
    ]


def storage_numbers(is_there: Callable[[], bool]) -> Numbers:
    """Return no numbers: that it answers is all there is to say. Raises ConnectionError if it does not."""
    if not is_there():
        raise ConnectionError("no answer")
    return []


def _gauge(name: str, told: str, value: float) -> Metric:
    return GaugeMetricFamily(f"chat_{name}", told, value=value)


def _counter(name: str, told: str, value: float) -> Metric:
    return CounterMetricFamily(f"chat_{name}", told, value=value)


def _of_duties(
    kind: type[CounterMetricFamily] | type[GaugeMetricFamily],
    name: str,
    told: str,
    field: str,
    records: Mapping[str, Mapping[str, float]],
) -> Metric:
    family = kind(f"chat_{name}", told, labels=["duty"])
    for duty, record in sorted(records.items()):
        family.add_metric([duty], record[field])
    return family


DATABASE = """
SELECT pg_database_size(current_database()) AS size, current_setting('max_connections')::int AS most,
       (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()) AS connections,
       (SELECT coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0)::float8 FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle') AS oldest
"""
