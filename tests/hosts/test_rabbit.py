"""RabbitMQ as Celery's broker: tasks are done, nothing live waits for it, and what waits in it outlives a kill."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import requests

from tasks.queue import connect, waiting
from tests.clients.person import Person
from tests.deployment import ROOT, Deployment, Web, wait_for
from tests.docs.test_hosts import blocks, chapter
from tests.rabbit import Rabbit

pytestmark = pytest.mark.rabbit
WITHIN = 60.0  # seconds for a worker, a beat and an Erlang machine on a busy machine
SOON = 2.0  # seconds for a message while the broker is away
CREW = (["worker", "--concurrency=1"], ["beat", "--pidfile="])


@pytest.fixture(scope="module")
def rabbit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rabbit]:
    """A broker that tests may kill, and start again."""
    with Rabbit(tmp_path_factory.mktemp("rabbit")) as made:
        yield made


def settings(rabbit: Rabbit) -> dict[str, str]:
    return {"CELERY_BROKER_URL": rabbit.url, "REDIS_URL": "redis://unused", "REDIS_PREFIX": "rabbit:"}


def numbers(web: Web) -> dict[str, float]:
    """Return what is told of the tasks."""
    text = requests.get(f"{web.url}/metrics", timeout=10).text
    return {name: float(value) for name, value in re.findall(r"^(chat_(?:tasks|part)\S+) (\S+)$", text, re.MULTILINE)}


def test_the_lines_of_the_deployment_make_an_account_that_the_broker_takes(rabbit: Rabbit) -> None:
    """docs/deployment.md, "Several hosts"."""
    (lines,) = blocks("rabbitmq")
    rabbit.type_in(lines)
    told = re.findall(r"CELERY_BROKER_URL=(amqp://[^`]+)`", chapter())[0]
    given = {**settings(rabbit), "CELERY_BROKER_URL": re.sub(r"@[\d.]+:5672", f"@127.0.0.1:{rabbit.port}", told)}
    assert waiting(given) == 0
    celery = connect(given, set_as_current=False)
    celery.send_task("nobody.does.it")
    celery.close()
    assert waiting(given) == 1


def test_a_server_on_rabbitmq_does_its_tasks_and_talks_on_while_it_is_dead(
    hosts: Deployment, rabbit: Rabbit, tmp_path: Path
) -> None:
    environ = {**hosts.environ, **settings(rabbit), "REDIS_URL": hosts.redis.url, "DATA_DIR": str(tmp_path)}
    crew: list[subprocess.Popen[Any]] = []
    web = Web(environ, tmp_path / "web.log")
    with (tmp_path / "celery.log").open("wb") as log, redis.Redis.from_url(hosts.redis.url) as keys:

        def start(more: list[str]) -> subprocess.Popen[Any]:
            command = [sys.executable, "-m", "celery", "-q", "-A", "tasks.worker", *more, "--loglevel=WARNING"]
            return subprocess.Popen(command, cwd=ROOT, env=environ, stdout=log, stderr=log)

        crew += [start(more) for more in CREW]
        try:
            web.start()
            ann = Person(web.url)
            wait_for(lambda: keys.exists("rabbit:celery:heartbeat"), WITHIN, f"a task to be done, see {tmp_path}")
            found = numbers(web)
            assert found['chat_part_up{part="broker"}'] == 1
            assert found["chat_tasks_heartbeat_age_seconds"] < WITHIN
            for process in crew:
                process.kill()
                process.wait()
            celery = connect(settings(rabbit), set_as_current=False)
            celery.send_task("tasks.worker.heartbeat")
            celery.close()
            assert waiting(settings(rabbit)) >= 1
            rabbit.kill()
            begun = time.monotonic()
            ann.send(ann, "nothing live waits for the broker")
            assert time.monotonic() - begun < SOON
            assert numbers(web)['chat_part_up{part="broker"}'] == 0
            rabbit.start()
            assert waiting(settings(rabbit)) >= 1, "what waited is gone"
            crew += [start(more) for more in CREW]
            keys.delete("rabbit:celery:heartbeat")
            wait_for(lambda: keys.exists("rabbit:celery:heartbeat"), WITHIN, f"tasks to be done again, see {tmp_path}")
            ann.close()
        finally:
            web.stop()
            for process in crew:
                process.kill()
            for process in crew:
                process.wait()
