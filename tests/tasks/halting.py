"""Has each duty stop in the middle of its work, and say so in Redis; whoever does it next leaves it alone."""

import os
import pkgutil
import time
from collections.abc import Callable
from typing import Any

import redis
from celery import current_task, signals
from celery.exceptions import Ignore

from tasks import courier, orphans, sweeps

# By duty: a module or class, the function of it that it calls on its way, at which of these calls it stops.
PLACES = {
    "tasks.orphans.files": ("tasks.orphans", "_name_of", 2),
    "tasks.orphans.unused": ("tasks.orphans", "_deleted_rows", 2),
    "tasks.presence.sweep": ("tasks.presence", "_tell", 1),
    "tasks.pushes.look": ("tasks.courier", "remember", 1),
    "tasks.sweeps.answers": ("tasks.sweeps", "text", 2),
    "tasks.sweeps.logins": ("tasks.sweeps", "text", 2),
    "tasks.sweeps.tickets": ("tasks.sweeps", "text", 2),
    "tasks.thumbnails.make_up_for": ("tasks.thumbnails", "finish_thumbnail", 1),
    "tasks.tiers.demote": ("chat.tiers.Tiers", "_make_frequent", 2),
    "tasks.unread_sync.compare": ("tasks.unread_sync", "_mend", 1),
}
BEGUN = {"tasks.thumbnails.make_up_for": "tasks.thumbnails.make"}  # whose work is done by tasks that it enqueues
SECONDS = 120  # that a process waits to be killed


def halting(duty: str, place: int, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function, which in one run of this duty stops at that call."""
    calls: dict[str, int] = {}

    def call(*args: Any, **more: Any) -> Any:
        if current_task and current_task.name == BEGUN.get(duty, duty):
            run = current_task.request.id
            calls[run] = calls.get(run, 0) + 1
            with redis.Redis.from_url(os.environ["REDIS_URL"]) as client:
                if client.exists(f"halted:{duty}"):
                    raise Ignore
                if calls[run] == place:
                    if not client.set(f"halted:{duty}", 1, nx=True):  # another run was quicker by a moment
                        raise Ignore
                    time.sleep(SECONDS)
        return function(*args, **more)

    return call


@signals.worker_process_init.connect
def halt_each(**_: Any) -> None:
    for duty, (name, function, place) in PLACES.items():
        owner = pkgutil.resolve_name(name)
        setattr(owner, function, halting(duty, place, getattr(owner, function)))
    sweeps.BATCH = sweeps.SLICE = orphans.BATCH = 1  # so that two rows have a middle
    courier.LANE_SECONDS = 3.0  # so that the killed courier's lane is free soon
