"""The application: made from settings, connected to nothing, with every door that the folders hold."""

from pathlib import Path

import pytest
import requests

from app import create_app
from chat.config import ConfigError
from chat.node import Node
from tests.deployment import Deployment

NOWHERE = {
    "DATABASE_URL": "postgresql+psycopg://nobody@127.0.0.1:1/none",
    "REDIS_URL": "redis://127.0.0.1:1",
    "JWT_SECRET": "s" * 32,
}


def test_it_is_made_without_a_database_and_without_redis() -> None:
    app = create_app(NOWHERE)
    node = app.extensions["chat.node"]
    assert isinstance(node, Node)
    assert not node.generation
    node.redis.close()


def test_two_are_made_side_by_side() -> None:
    one, other = create_app(NOWHERE), create_app(NOWHERE | {"CONTENT_CHARACTERS": 10})
    assert (one.config["CONTENT_CHARACTERS"], other.config["CONTENT_CHARACTERS"]) == (5_000, 10)
    assert {str(rule) for rule in one.url_map.iter_rules()} == {str(rule) for rule in other.url_map.iter_rules()}
    for app in (one, other):
        app.extensions["chat.node"].redis.close()


def test_a_setting_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JWT_SECRET", raising=False)
    with pytest.raises(ConfigError, match="JWT_SECRET"):
        create_app({name: value for name, value in NOWHERE.items() if name != "JWT_SECRET"})


def test_every_carrier_and_the_first_page_have_an_address() -> None:
    app = create_app(NOWHERE)
    rules = {str(rule) for rule in app.url_map.iter_rules()}
    assert {"/ws", "/api/v1/poll", "/api/v1/stream", "/", "/healthz", "/readyz", "/metrics"} <= rules
    app.extensions["chat.node"].redis.close()


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/api/v1/nowhere", 404, "not_found"),
        ("DELETE", "/api/v1/poll", 405, "method_not_allowed"),
        ("POST", "/api/v1/auth/login", 415, "unsupported_media"),
        ("PUT", "/healthz", 405, "method_not_allowed"),
        ("GET", "/api/v1/conversations", 401, "not_authenticated"),
    ],
)
def test_what_is_wrong_has_one_shape_at_every_address(
    deployment: Deployment, method: str, path: str, status: int, code: str
) -> None:
    answer = requests.request(method, deployment.url + path, data="x" if method == "POST" else None, timeout=10)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_a_body_too_large_is_refused_and_the_server_goes_on(deployment: Deployment) -> None:
    answer = requests.post(deployment.url + "/api/v1/auth/login", json={"username": "x" * 200_000}, timeout=10)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")
    assert requests.get(deployment.url + "/healthz", timeout=10).ok


def test_the_file_needs_no_more_than_the_launcher_to_start() -> None:
    head = (Path(__file__).resolve().parents[1] / "app.py").read_text().split("def create_app")[0]
    assert "from chat" not in head
