"""Demotion of history's blocks in Redis: hot ones that have aged are compressed, and near the memory's limit some go.

A run is bounded and does what is due, oldest first. What it leaves, or one that is killed leaves, the next one finds;
two at once do the same thing twice. Blocks are a cache, so nothing is lost with any of them.
"""

import logging
import time

from celery import shared_task

from chat.tiers import Tiers
from tasks import stores

__all__ = ["SCHEDULE", "demote"]

SCHEDULE = {
    "tiers of history": {"task": "tasks.tiers.demote", "schedule": 30.0, "options": {"expires": 30.0}},
}
logger = logging.getLogger(__name__)


@shared_task(name="tasks.tiers.demote")  # type: ignore[untyped-decorator]
def demote() -> int:
    """Drop blocks while Redis is nearly full, frequent ones first, then compress aged ones; return how many moved."""
    tiers = Tiers(stores.redis(), stores.settings())
    dropped = tiers.relieve()
    if dropped:
        logger.warning("Redis is nearly full: %d blocks of history were dropped", dropped)
    return dropped + tiers.demote(time.time())
