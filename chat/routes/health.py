"""`/healthz`, `/readyz` and `/metrics`: for whoever runs this server. They need no token and say nothing of users."""

from flask import Blueprint, Response
from prometheus_client import CONTENT_TYPE_LATEST

from chat.health import database_is_there, redis_is_there, tasks_are_done
from chat.rest import answer, node

__all__ = ["blueprint"]

blueprint = Blueprint("health", __name__)


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
        "database": "ok" if database else "down",
        "redis": "ok" if redis_is_there(node()) else "degraded",
        "tasks": "ok" if tasks_are_done(node()) else "degraded",
    }
    if draining or not database:
        return answer({"status": "draining" if draining else "down", **parts}, 503)
    return answer({"status": "ok" if set(parts.values()) == {"ok"} else "degraded", **parts}, 200)


@blueprint.get("/metrics")
def metrics() -> Response:
    """Answer Prometheus."""
    return Response(node().metrics.scrape(), content_type=CONTENT_TYPE_LATEST)
