"""Which numbers of a node are shown at /metrics: read at a scrape, never written on the way of a message."""

import time
from collections import Counter
from functools import partial
from typing import Any

from chat.metrics import Histogram
from chat.outgoing import Outgoing
from chat.surroundings import Surroundings

__all__ = ["measure"]


def measure(node: Any) -> None:
    """Register a node's gauges with its metrics; have batches of the writer and refusals at sockets counted."""
    gauge = node.metrics.gauge
    gauge("connections", "Sessions by carrier.", lambda: _by_carrier(node), "carrier")
    gauge("users", "Users with a session here.", lambda: len(node.hub.users))
    gauge("sessions_opened", "Sessions opened since the start.", lambda: node.sessions_opened)
    gauge("writer_queue_messages", "Messages taken and not yet committed.", lambda: node.writer.queued)
    gauge("writer_queue_bytes", "Bytes of the same.", lambda: node.writer.queued_bytes)
    gauge("log_queue_events", "Events that wait to be published.", lambda: node.log.queued)
    gauge("positions_queue", "Positions that wait to be written.", lambda: len(node.positions))
    gauge("outbox_bytes", "Bytes that slow clients did not take yet.", lambda: node.hub.backlog)
    gauge("slow_clients", "Clients with something in their outbox.", lambda: len(node.hub.slow))
    gauge(
        "redis_up",
        "Whether events are published and heard (1) or carried by the tail (0).",
        lambda: int(node.log.epoch is not None),
    )
    gauge(
        "tail_age_seconds",
        "Since the last look at what was committed.",
        lambda: time.time() - node.tail.looked_us / 1e6,
    )
    gauge("database_pool_used", "Connections of the pool in use.", node.engine.pool.checkedout)
    gauge(
        "history_blocks", "Blocks of history looked for, by the tier that had them.", lambda: node.pages.found, "tier"
    )
    storage_is_there = partial(_storage_is_there, node)
    node.metrics.collectors.append(Surroundings(node.engine, node.redis, node.config, storage_is_there))
    node.writer.answered = partial(_observe, node.metrics.send_to_ack)
    node.writer.delivered = partial(_observe, node.metrics.send_to_delivery)
    node.dispatch.refusals = node.metrics.errors


def _storage_is_there(node: Any) -> bool:
    there: bool = node.storage_is_there()  # asked for only now: the upload service comes after the node
    return there


def _by_carrier(node: Any) -> dict[str, int]:
    return dict(Counter(session.carrier.kind for session in node.hub.sessions.values()))


def _observe(histogram: Histogram, batch: list[Outgoing]) -> None:
    histogram.observe_batch([message.accepted for message in batch], time.monotonic())
