import pytest

from tests.chat.door import Visitor, rest_app
from tests.chat.world import NUMBERS

PAGE = "http://localhost:5173"
PREFLIGHT = {"Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "authorization"}


@pytest.fixture
def app(engine, redis_url):
    return rest_app(engine, redis_url, ENVIRONMENT="development")


@pytest.fixture
def client(app):
    return app.test_client()


@pytest.mark.parametrize("path", ["/api/v1/users/me", "/api/v1/auth/login", "/api/v1/nowhere", "/readyz"])
def test_a_preflight_needs_no_token(client, path):
    answer = client.options(path, headers={"Origin": PAGE} | PREFLIGHT)
    assert (answer.status_code, answer.data) == (204, b"")
    assert answer.headers["Access-Control-Allow-Origin"] == PAGE
    assert answer.headers["Access-Control-Allow-Credentials"] == "true"
    assert answer.headers["Access-Control-Max-Age"] == "600"
    assert "Origin" in answer.headers["Vary"]


@pytest.mark.parametrize(("path", "status"), [("/api/v1/users/me", 401), ("/api/v1/nowhere", 404), ("/healthz", 200)])
def test_answers_and_refusals_can_be_read_by_an_allowed_page(client, path, status):
    answer = client.get(path, headers={"Origin": PAGE})
    assert answer.status_code == status
    assert answer.headers["Access-Control-Allow-Origin"] == PAGE
    assert {"Retry-After", "Chat-Session"} <= set(answer.headers["Access-Control-Expose-Headers"].split(", "))


def test_a_foreign_page_is_told_nothing(client):
    for headers in ({"Origin": "https://evil.example"}, {"Origin": "https://evil.example"} | PREFLIGHT):
        answer = client.options("/api/v1/users/me", headers=headers)
        assert "Access-Control-Allow-Origin" not in answer.headers


def test_in_production_localhost_is_foreign(engine, redis_url):
    client = rest_app(engine, redis_url).test_client()
    assert "Access-Control-Allow-Origin" not in client.get("/healthz", headers={"Origin": PAGE}).headers


def test_a_cookie_of_a_foreign_page_does_not_count(app, engine, redis_url):
    ann = Visitor(app, f"Ann{next(NUMBERS)}")
    client = app.test_client()
    client.set_cookie("chat_session", ann.token)
    assert client.get("/api/v1/users/me").status_code == 200
    assert client.get("/api/v1/users/me", headers={"Origin": "http://localhost"}).status_code == 200
    assert client.get("/api/v1/users/me", headers={"Origin": PAGE}).status_code == 401


def test_every_answer_is_for_now_and_taken_by_its_word(client):
    for path in ("/api/v1/nowhere", "/api/v1/auth/login"):
        headers = client.get(path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
