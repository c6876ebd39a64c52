"""The one queue between those who enqueue tasks, by name, and the worker that does them.

Broker and queue are told here once, for both sides: where they differ, tasks vanish without a word.
"""

import logging
import threading
import time
from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from celery import Celery
from kombu import Connection, Exchange, Queue
from kombu.exceptions import OperationalError

from chat import config
from tasks import redis_broker

__all__ = ["TASK_SECONDS", "broker_url", "connect", "queue_name", "send", "waiting"]

BROKER_DATABASE = 1  # of a Redis on a socket: the chat's keys are in 0
SEND_SECONDS = 2.0  # for the broker to connect, to take a task, to say that it has it
AWAY = 5.0  # seconds for which a broker that did not take a task, or a connection that had died, is not used again
AT_ONCE = 10  # connections of a process to send over, of half a millisecond a task
ASKED_SECONDS = 2.0  # for the broker to connect, and again to say how many tasks wait
TASK_SECONDS = 300  # a duty that takes longer is stuck; a batch that is larger is to be cut up

redis_broker.register()
_log = logging.getLogger(__name__)
_sending = threading.BoundedSemaphore(AT_ONCE)
_away_until = 0.0


def broker_url(settings: Mapping[str, Any]) -> str:
    """Return the broker's address as kombu spells it: CELERY_BROKER_URL, or the database after REDIS_URL's."""
    given: str = settings["CELERY_BROKER_URL"]
    if given:
        return given
    parts = urlsplit(str(settings["REDIS_URL"]))
    if parts.scheme == "unix":
        return f"redis+socket://{parts.path}?virtual_host={BROKER_DATABASE}"
    return urlunsplit(parts._replace(path=f"/{int(parts.path.strip('/') or 0) + 1}"))


def queue_name(settings: Mapping[str, Any]) -> str:
    """Return the queue's name, also its key in Redis: one for each deployment that shares a broker with others."""
    return f"{settings['REDIS_PREFIX']}chat"


def connect(settings: Mapping[str, Any], **more: Any) -> Celery:
    """Return a Celery that knows broker and queue; it connects when it is used. `more` goes to Celery."""
    app = Celery("chat", broker=broker_url(settings), **more)
    name = queue_name(settings)
    app.conf.update(
        # The nameless direct exchange needs no binding in Redis, so FLUSHALL has none to lose.
        task_queues=[Queue(name, Exchange(""), routing_key=name)],
        task_default_queue=name,
        task_default_exchange="",
        task_default_routing_key=name,
        task_ignore_result=True,  # nobody waits for a result: what a task found out is in the database
        broker_transport_options={
            "visibility_timeout": 2 * TASK_SECONDS,  # until a killed worker's tasks are given out again
            "socket_keepalive": True,
            "socket_connect_timeout": 2,
            "health_check_interval": 10,
            "confirm_publish": True,  # of RabbitMQ: what is written to a connection that has just died is not sent
        },
        timezone="UTC",
    )
    return app


@cache
def _sender() -> Celery:
    # A connection for each that may send at a time; none is tried twice, for somebody waits.
    app = connect(
        config.load(), set_as_current=False, broker_pool_limit=AT_ONCE, broker_connection_timeout=SEND_SECONDS
    )
    app.conf.broker_transport_options |= {"socket_timeout": SEND_SECONDS, "max_retries": 0}
    return app


def send(task: str, arguments: tuple[Any, ...], **options: Any) -> bool:
    """Enqueue a task by name; tell whether the broker took it. If not, it is found again from the database.

    Takes two seconds or so at worst, as somebody waits for it who has committed already, and nothing for AWAY seconds
    after the broker did not take one. `options` are Celery's, of apply_async: `expires` (seconds).
    """
    with _sending:  # when it is one's turn the broker may be known to be away
        return time.monotonic() >= _away_until and _try_to_send(task, arguments, options)


def _try_to_send(task: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> bool:
    global _away_until
    # Without a picture of the arguments: to make one costs more than to send them.
    more = {"argsrepr": "", "kwargsrepr": "", "confirm_timeout": SEND_SECONDS, **options, "retry": False}
    try:
        _sender().send_task(task, arguments, **more)
    except OperationalError as error:
        _away_until = time.monotonic() + AWAY
        _log.warning("%s was not enqueued, nor will be anything for %.0f s: %s", task, AWAY, error)
        return False
    return True


def waiting(settings: Mapping[str, Any]) -> int:
    """Return how many tasks wait in the queue, whatever the broker. Raises OperationalError within some seconds."""
    options = {"socket_timeout": ASKED_SECONDS, "socket_connect_timeout": ASKED_SECONDS}  # of Redis
    if broker_url(settings).startswith("amqp"):
        options = {"read_timeout": ASKED_SECONDS, "write_timeout": ASKED_SECONDS}
    with Connection(broker_url(settings), connect_timeout=ASKED_SECONDS, transport_options=options) as connection:
        try:
            connection.connect()
            told = connection.channel().queue_declare(queue_name(settings), passive=True)
        except connection.channel_errors:  # there is no queue yet; in Redis an empty one is none
            return 0
        except connection.connection_errors as error:
            raise OperationalError(str(error)) from error
        return int(told.message_count)
