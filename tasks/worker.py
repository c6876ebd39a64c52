"""Celery's entry: `celery -A tasks.worker worker` and `celery -A tasks.worker beat`, each a plain, unpatched process.

Its heartbeat goes the whole way, beat, broker, worker, every ten seconds, and leaves a key in Redis: while that is
young, tasks are done. `/readyz` and `/metrics` show it, and the supervisor starts a worker anew that fell silent.
"""

import json
import logging
import os
import pkgutil
import signal
import socket
import time
import warnings
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from celery import Celery, signals
from celery.platforms import SecurityWarning

import tasks
from chat import config
from chat.launcher.child import tie_to_parent
from chat.media_address import sign_with
from tasks import record, stores
from tasks.attempts import Attempted
from tasks.queue import TASK_SECONDS, connect

__all__ = ["HEARTBEAT_KEY", "celery", "heartbeat"]

HEARTBEAT_KEY = "celery:heartbeat"
HEARTBEAT_SECONDS = 10.0
HEARTBEAT_KEPT = 60  # seconds the key stays: afterwards its absence says the same
NO_DUTIES = {
    __name__,
    *(
        f"tasks.{name}"
        for name in ("absence", "attempts", "courier", "notes", "push", "queue", "record", "redis_broker", "stores")
    ),
}


def _worker(settings: Mapping[str, Any]) -> Celery:
    names = {f"tasks.{module.name}" for module in pkgutil.iter_modules(tasks.__path__)}
    duties = [import_module(name) for name in sorted(names - NO_DUTIES)]
    app = connect(settings, include=[duty.__name__ for duty in duties], task_cls=Attempted)
    app.conf.update(
        # A task leaves the queue once it is done, not once it is taken: another worker does those of a killed one.
        task_acks_late=True,
        task_reject_on_worker_lost=True,  # a few times: attempts.py
        task_time_limit=TASK_SECONDS,
        task_soft_time_limit=TASK_SECONDS - 30,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,  # for ever: the broker may be away for longer than we can guess
        worker_cancel_long_running_tasks_on_connection_loss=True,  # they will be given out again, so this one must end
        worker_proc_alive_timeout=30.0,  # seconds for a new process to start: on a busy machine 4 are too few
        worker_prefetch_multiplier=1,  # tasks are long beside the round trip that fetches one
        worker_enable_remote_control=False,  # nobody uses it, and its queue is one more thing to lose with Redis
        worker_hijack_root_logger=False,
        worker_soft_shutdown_timeout=5.0,  # seconds that tasks under way get when the worker is told to quit
        beat_schedule=_schedule(duties),
        beat_schedule_filename=str(Path(settings["DATA_DIR"] or ".") / "celerybeat-schedule"),
    )
    return app


def _schedule(duties: Iterable[ModuleType]) -> dict[str, Any]:
    """Return what beat sends: the heartbeat and each duty module's `SCHEDULE` (entries as in beat_schedule).

    After an outage one of each is enough, so an entry expires by default when the next one is due.
    """
    entries: dict[str, Any] = {"heartbeat": {"task": "tasks.worker.heartbeat", "schedule": HEARTBEAT_SECONDS}}
    for duty in duties:
        entries |= getattr(duty, "SCHEDULE", {})
    # A short outage of the broker is waited for, and not worth a page in the log.
    patience = {"max_retries": 15, "interval_max": 1}
    return {
        name: {**entry, "options": {"expires": entry["schedule"], "retry_policy": patience, **entry.get("options", {})}}
        for name, entry in entries.items()
    }


# A container's only user is often root. What could hurt then is a pickle from the queue, and only JSON is taken.
warnings.filterwarnings("ignore", category=SecurityWarning)
_settings = config.load()
sign_with(_settings)  # whoever encodes a message signs the addresses of its media
celery = _worker(_settings)
record.watch()


@celery.task(name="tasks.worker.heartbeat")  # type: ignore[untyped-decorator]
def heartbeat() -> None:
    """Write down that tasks are done: `{"time": seconds since 1970, "host": name}` under HEARTBEAT_KEY."""
    value = json.dumps({"time": time.time(), "host": socket.gethostname()})
    stores.redis().set(_settings["REDIS_PREFIX"] + HEARTBEAT_KEY, value, ex=HEARTBEAT_KEPT)


class _OneLine(logging.Filter):
    """Tells of a beat that was not sent in one line: Celery takes two pages, and the next beat is ten seconds away."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Shorten the record; let all pass."""
        if isinstance(record.args, tuple) and str(record.msg).startswith("Message Error"):
            record.msg, record.args, record.exc_info = "%s", record.args[:1], None
        return True


logging.getLogger("celery.beat").addFilter(_OneLine())


@signals.beat_init.connect  # type: ignore[untyped-decorator]
def _beat_at_once(**_: Any) -> None:
    """Send the first heartbeat when beat starts, not ten seconds later: whoever starts a server waits for it."""
    heartbeat.apply_async(expires=HEARTBEAT_SECONDS, retry=False)


@signals.worker_process_init.connect  # type: ignore[untyped-decorator]
def _end_with_the_worker(**_: Any) -> None:
    """Let a process of the pool end with its worker, even if that is killed in the middle of a task."""
    tie_to_parent(signal.SIGKILL, os.getppid())
