"""`/healthz`, `/readyz` and `/metrics`: for whoever runs this server. They need no token and say nothing of users."""

import logging
import time
from typing import Any

from flask import Blueprint, Response, current_app
from prometheus_client import CONTENT_TYPE_LATEST
from redis import RedisError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from chat.rest import answer, node

__all__ = ["blueprint", "database_is_there", "redis_is_there"]

blueprint = Blueprint("health", __name__)
log = logging.getLogger(__name__)
HEARTBEAT = "celery:heartbeat"  # Redis key: seconds since the epoch of the worker's last heartbeat task
HEARTBEAT_LATE = 180  # seconds; it comes every minute


@blueprint.get("/healthz")
def alive() -> Response:
    """Say that this process answers."""
    return answer({"status": "ok"}, 200)


@blueprint.get("/readyz")
def ready() -> Response:
    """Say whether requests should come here: not without the database, and not while this process is leaving.

    Redis and the task queue are shown and do not count: without them everything goes on, slower.
    """
    database, draining = database_is_there(node()), bool(node().draining)
    parts = {
        "database": _word(database, "down"),
        "redis": _word(redis_is_there(node()), "degraded"),
        "tasks": _word(_worker_is_there(), "degraded"),
    }
    fit = database and not draining
    worst = "ok" if set(parts.values()) == {"ok"} else "degraded"
    status = worst if fit else ("draining" if draining else "down")
    return answer({"status": status, **parts}, 200 if fit else 503)


@blueprint.get("/metrics")
def metrics() -> Response:
    """Answer Prometheus."""
    return Response(node().metrics.scrape(), content_type=CONTENT_TYPE_LATEST)


def database_is_there(of: Any) -> bool:
    """Tell whether a node's database answers."""
    try:
        with of.engine.connect() as connection:
            connection.execute(text("SELECT 1"))
    except SQLAlchemyError as error:
        log.warning("The database does not answer: %s", type(error).__name__)
        return False
    return True


def redis_is_there(of: Any) -> bool:
    """Tell whether a node's Redis answers."""
    try:
        return bool(of.redis.ping())
    except (RedisError, OSError) as error:
        log.warning("Redis does not answer: %s", type(error).__name__)
        return False


def _worker_is_there() -> bool:
    try:
        beat = node().redis.get(current_app.config["REDIS_PREFIX"] + HEARTBEAT)
        return beat is not None and time.time() - float(beat) < HEARTBEAT_LATE
    except (RedisError, OSError, ValueError):
        return False


def _word(there: bool, otherwise: str) -> str:
    return "ok" if there else otherwise
