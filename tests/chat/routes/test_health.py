import pytest
from sqlalchemy import create_engine

from tests.chat.door import rest_app


@pytest.fixture
def app(engine, redis_url):
    return rest_app(engine, redis_url, REDIS_PREFIX="health:")


@pytest.fixture
def node(app):
    return app.extensions["chat.node"]


@pytest.fixture
def client(app):
    return app.test_client()


def test_a_process_that_answers_is_alive(client):
    assert client.get("/healthz").json == {"status": "ok"}


def test_a_worker_without_heartbeat_is_shown_and_does_not_count(client, node):
    parts = {"database": "ok", "redis": "ok", "tasks": "degraded", "storage": "ok"}
    assert client.get("/readyz").json == {"status": "degraded", **parts}
    node.redis.set("health:celery:heartbeat", "{}", ex=60)
    answer = client.get("/readyz")
    node.redis.delete("health:celery:heartbeat")
    assert (answer.status_code, answer.json["status"], answer.json["tasks"]) == (200, "ok", "ok")


def test_without_redis_a_process_is_ready(engine, tmp_path):
    answer = rest_app(engine, f"unix://{tmp_path}/nobody").test_client().get("/readyz")
    assert (answer.status_code, answer.json["redis"]) == (200, "degraded")


def test_without_the_database_a_process_is_not_ready_but_alive(client, node, tmp_path):
    node.engine = create_engine(f"postgresql+psycopg://chat@/chat?host={tmp_path}")
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json["status"], answer.json["database"]) == (503, "down", "down")
    assert client.get("/healthz").status_code == 200


def test_a_process_that_is_leaving_is_not_ready(client, node):
    node.draining = True
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json["status"]) == (503, "draining")


def test_prometheus_is_answered_in_its_format(client, node):
    node.metrics.gauge("connections", "Open connections.", lambda: {"websocket": 3}, "carrier")
    client.get("/nowhere")
    answer = client.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    assert 'chat_connections{carrier="websocket"' in answer.text
    assert 'chat_errors_total{code="not_found"' in answer.text
    assert "chat_send_to_ack_seconds_bucket" in answer.text
    assert "chat_send_to_delivery_seconds_bucket" in answer.text
