"""A worker's connection to its broker is lost while it holds a task."""

from pathlib import Path

import pytest
from kombu import Connection
from kombu.common import ignore_errors

from chat.launcher.embedded_redis import Redis
from tasks.queue import broker_url
from tasks.redis_broker import Channel


def test_closing_a_connection_whose_broker_is_gone_with_tasks_unacknowledged_is_a_lost_connection(
    tmp_path: Path,
) -> None:
    server = Redis(tmp_path / "redis").start()
    url = broker_url({"CELERY_BROKER_URL": "", "REDIS_URL": server.url})
    with Connection(url) as connection:
        with connection.SimpleQueue("tasks") as queue:
            queue.put("a task")
        channel = connection.default_channel
        assert isinstance(channel, Channel)
        assert channel.basic_get("tasks") is not None  # and never acknowledged
        server.kill()
        channel._disconnect_pools()  # as the loss does
        connection.transport.client = None  # as collecting what is left of the connection does
        with pytest.raises(connection.connection_errors):
            channel.close()
        ignore_errors(connection, channel.close)
    server.stop()
