"""Tasks that show what the worker does with tasks: they say in Redis when they begin and end."""

import os
import signal
import sys
import time

import redis
from celery import Task, shared_task
from sqlalchemy.exc import OperationalError

from chat.errors import ChatError


def say(word: str) -> None:
    with redis.Redis.from_url(os.environ["REDIS_URL"]) as client:
        client.rpush("said", f"{word} {os.getpid()}")


@shared_task(name="duties.look")
def look() -> None:
    say("patched" if "gevent" in sys.modules else "plain")


@shared_task(name="duties.linger")
def linger(seconds: float) -> None:
    say("begun")
    time.sleep(seconds)
    say("ended")


@shared_task(name="duties.stumble")
def stumble() -> None:
    raise OperationalError("SELECT 1", {}, Exception("the database is away"))


@shared_task(name="duties.trip")
def trip() -> None:
    try:
        stumble()
    except OperationalError as error:
        raise ChatError("overloaded") from error


@shared_task(name="duties.fall")
def fall() -> None:
    raise ValueError("a mistake of ours")


@shared_task(name="duties.die")
def die(*_: str) -> None:
    say("died")
    os.kill(os.getpid(), signal.SIGKILL)


@shared_task(name="duties.hesitate", bind=True, max_retries=3)
def hesitate(task: Task) -> None:
    if task.request.retries < 2:
        raise task.retry(countdown=0)
