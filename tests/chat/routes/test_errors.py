import logging

import pytest
import requests
from flask import Blueprint, Flask, abort, redirect
from marshmallow import ValidationError

from chat.errors import CODES, ChatError
from tests.chat.door import Visitor, code_of, rest_app
from tests.chat.world import NUMBERS

FORGED = "2026-11-20 ERROR forged\x1b[31m"


def failing() -> Blueprint:
    made = Blueprint("failing", __name__, url_prefix="/api/fail")

    @made.get("/boom")
    def boom():
        raise RuntimeError(f"secret\n{FORGED}")

    @made.get("/busy")
    def busy():
        raise ChatError("overloaded", retry_after=0.2)

    @made.get("/schema")
    def schema():
        raise ValidationError({"name": ["Too odd."]})

    @made.get("/abort/<int:status>")
    def abort_(status):
        abort(status)

    @made.get("/away")
    def away():
        return redirect("/elsewhere")

    return made


@pytest.fixture
def app(engine, redis_url) -> Flask:
    made = rest_app(engine, redis_url)
    made.register_blueprint(failing())
    return made


@pytest.fixture
def client(app):
    return app.test_client()


@pytest.fixture
def ann(app):
    return Visitor(app, f"Ann{next(NUMBERS)}")


def test_nothing_here_has_the_one_shape(client):
    for path in ("/nowhere", "/api/v1/nowhere", "/api/v1/users/a/b/c"):
        answer = client.get(path)
        assert answer.status_code == 404
        assert answer.json == {"error": {"code": "not_found", "message": CODES["not_found"].message}}


def test_a_method_that_is_not_taken_is_told_with_those_that_are(client):
    answer = client.delete("/api/v1/auth/login")
    assert (answer.status_code, code_of(answer)) == (405, "method_not_allowed")
    assert "POST" in answer.headers["Allow"]


def test_waiting_is_told_in_the_body_and_in_whole_seconds_in_the_header(client):
    answer = client.get("/api/fail/busy")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert answer.json["error"]["retryAfter"] == 0.2


def test_what_a_schema_refuses_is_told_by_field(client):
    answer = client.get("/api/fail/schema")
    assert (answer.status_code, answer.json["error"]["details"]) == (400, {"name": ["Too odd."]})


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 408, 409, 410, 413, 415, 418, 422, 429, 500, 502, 503])
def test_every_refusal_of_the_framework_has_a_code_and_keeps_its_status(client, status):
    answer = client.get(f"/api/fail/abort/{status}")
    assert answer.status_code == status
    assert code_of(answer) in CODES


def test_a_redirect_is_no_error(client):
    assert client.get("/api/fail/away").status_code == 302


def test_the_unforeseen_is_logged_once_and_says_nothing_outside(client, caplog):
    with caplog.at_level(logging.WARNING):
        answer = client.get("/api/fail/boom")
    assert (answer.status_code, code_of(answer)) == (500, "internal")
    assert "secret" not in answer.text
    assert len(caplog.records) == 1
    assert "RuntimeError: secret" in caplog.records[0].getMessage()


def test_no_text_of_a_user_poses_as_a_line_of_the_log(client, caplog):
    client.get("/api/fail/boom")
    lines = caplog.records[-1].getMessage().splitlines()
    assert any("forged" in line for line in lines)
    assert all(line.startswith("  | ") for line in lines[1:])
    assert "\x1b" not in caplog.records[-1].getMessage()


@pytest.mark.parametrize(
    "body", ["{", "nope", '{"username": }', '"\\ud800"', "NaN", '{"a": 1e999}', "[" * 3_000, "\xff"]
)
def test_bad_json_is_invalid(client, body):
    answer = client.post("/api/v1/auth/login", data=body.encode("latin-1"), content_type="application/json")
    assert (answer.status_code, code_of(answer)) == (400, "invalid")


@pytest.mark.parametrize("body", ["[]", "5", '"text"', "null", "true"])
def test_json_that_is_no_object_is_invalid(client, body):
    answer = client.post("/api/v1/auth/login", data=body, content_type="application/json")
    assert (answer.status_code, code_of(answer)) == (400, "invalid")


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""]
)
def test_another_kind_of_body_is_not_taken(client, kind):
    answer = client.post("/api/v1/auth/login", data="username=a", content_type=kind)
    assert (answer.status_code, code_of(answer)) == (415, "unsupported_media")


def test_no_body_is_an_empty_object(ann):
    assert ann.call("POST", "/auth/ticket").status_code == 201


@pytest.mark.parametrize("size", [65_537, 1_000_000])
def test_too_much_is_told_and_the_rest_is_not_read(client, size):
    body = b'{"username": "' + b"a" * size + b'"}'
    answer = client.post("/api/v1/auth/login", data=body, content_type="application/json")
    assert (answer.status_code, code_of(answer)) == (413, "too_large")
    assert answer.headers["Connection"] == "close"


@pytest.mark.parametrize("path", ["/api/v1/users/%00", "/api/v1/users?query=%00", "/%00"])
def test_nul_in_an_address_is_invalid(ann, path):
    answer = ann.client.get(path, headers={"Authorization": f"Bearer {ann.token}"})
    assert (answer.status_code, code_of(answer)) == (400, "invalid")


@pytest.mark.parametrize("path", ["/users/%ff%fe", "/users?query=%ff", "/users/%ed%a0%80", "/users/..%2f..%2fetc"])
def test_broken_encoding_in_an_address_is_no_server_error(ann, path):
    assert ann.get(path).status_code < 500


@pytest.mark.parametrize("key", ["a" * 65, "a\tb", "ü"])
def test_odd_idempotency_keys_are_invalid(ann, key):
    headers = {"Idempotency-Key": key.encode().decode("latin-1")}
    answer = ann.call("PATCH", "/users/me", json={}, headers=headers)
    assert (answer.status_code, code_of(answer)) == (400, "invalid")


def test_refusals_are_counted_by_code(app, client):
    client.get("/nowhere")
    assert app.extensions["chat.node"].metrics.errors["not_found"] == 1


def test_too_much_without_a_length_is_told_too(deployment):
    def chunks():
        yield b'{"username": "a", "password": "b"}'
        for _ in range(20):
            yield b" " * 8_192

    headers = {"Content-Type": "application/json"}
    answer = requests.post(f"{deployment.url}/api/v1/auth/login", data=chunks(), headers=headers, timeout=10)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")
