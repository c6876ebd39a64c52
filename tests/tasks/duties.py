"""Tasks that show what the worker does with tasks: they say in Redis when they begin and end."""

import os
import sys
import time

import redis
from celery import shared_task


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
