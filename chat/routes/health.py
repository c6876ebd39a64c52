"""`/healthz`, `/readyz` and `/metrics`: for whoever runs this server. They need no token and say nothing of users."""

from flask import Blueprint, Response
from prometheus_client import CONTENT_TYPE_LATEST

from chat.health import parts
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

    Redis, the task queue and the room for uploads are shown and do not count: without them everything else goes on.
    """
    there = parts(node())
    told = {part: "ok" if yes else "down" if part == "database" else "degraded" for part, yes in there.items()}
    draining = bool(node().draining)
    if draining or not there["database"]:
        return answer({"status": "draining" if draining else "down", **told}, 503)
    return answer({"status": "ok" if all(there.values()) else "degraded", **told}, 200)


@blueprint.get("/metrics")
def metrics() -> Response:
    """Answer Prometheus."""
    return Response(node().metrics.scrape(), content_type=CONTENT_TYPE_LATEST)
