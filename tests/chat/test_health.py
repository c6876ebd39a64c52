from redis import Redis
from sqlalchemy import create_engine

from chat.health import database_is_there, redis_is_there, tasks_are_done


class Node:
    def __init__(self, engine, redis_url):
        self.engine, self.config = engine, {"REDIS_PREFIX": "test health:"}
        self.redis = Redis.from_url(redis_url, socket_timeout=1)


def test_what_is_there_is_seen(engine, redis_url):
    node = Node(engine, redis_url)
    assert database_is_there(node)
    assert redis_is_there(node)
    assert not tasks_are_done(node)
    node.redis.set("test health:celery:heartbeat", "{}", ex=60)
    assert tasks_are_done(node)
    node.redis.delete("test health:celery:heartbeat")


def test_what_is_away_is_no_exception(tmp_path):
    node = Node(create_engine(f"postgresql+psycopg://chat@/chat?host={tmp_path}"), f"unix://{tmp_path}/nobody")
    assert not database_is_there(node)
    assert not redis_is_there(node)
    assert not tasks_are_done(node)
