from redis import Redis
from sqlalchemy import create_engine

from chat import health
from chat.health import database_is_there, parts, redis_is_there, room_is_there, storage_is_there, tasks_are_done


class Node:
    def __init__(self, engine, redis_url, data_dir="", storage=True):
        self.storage_is_there = lambda: storage
        self.engine, self.config = engine, {"REDIS_PREFIX": "test health:", "DATA_DIR": str(data_dir)}
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
    assert parts(node) == {"database": False, "redis": False, "tasks": False, "storage": True}


def test_room_is_looked_for_where_uploads_are_kept(engine, redis_url, tmp_path, monkeypatch):
    assert room_is_there(Node(engine, redis_url))
    assert room_is_there(Node(engine, redis_url, tmp_path))
    assert not room_is_there(Node(engine, redis_url, tmp_path / "nowhere"))
    monkeypatch.setattr(health, "ROOM_BYTES", 1 << 62)
    node = Node(engine, redis_url, tmp_path)
    assert not room_is_there(node)
    assert parts(node) == {"database": True, "redis": True, "tasks": False, "storage": False}


def test_a_storage_elsewhere_has_to_answer_too(engine, redis_url, tmp_path):
    assert storage_is_there(Node(engine, redis_url, tmp_path))
    assert not storage_is_there(Node(engine, redis_url, tmp_path, storage=False))
    assert not storage_is_there(Node(engine, redis_url, tmp_path / "nowhere"))
