"""The quick way answers as Flask's route would, or leaves the request to it."""

import pytest
from flask import Flask
from sqlalchemy import Engine

from chat.auth import Auth
from chat.errors import ChatError
from chat.frames import Caller
from tests.chat.counter import Counter, chat_app
from tests.chat.door import Visitor

PAGE = "http://localhost:5173"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """For each request that came to the shortcut, whether its token was believed."""
    found: list[bool] = []
    believed = Auth.believed

    def noted(self: Auth, authorization: str) -> Caller | None:
        found.append(believed(self, authorization) is not None)
        return believed(self, authorization)

    monkeypatch.setattr(Auth, "believed", noted)
    return found


@pytest.mark.parametrize("origin", [None, "http://localhost", "https://evil.example", PAGE])
def test_both_ways_give_the_same_answer(
    chat: Flask, visitors: tuple[Visitor, Visitor], asked: list[bool], origin: str | None
) -> None:
    ann, bob = visitors
    ann.post(f"/users/{bob.id}/messages", {"content": "hi"})
    bob.get("/users/me")  # from now on the token is believed
    headers = {} if origin is None else {"Origin": origin}
    quickly, slowly = bob.get("/unread", headers=headers), bob.get("/unread?x=1", headers=headers)
    assert asked == [True]
    assert (quickly.status, quickly.data) == (slowly.status, slowly.data)
    assert dict(quickly.headers) == dict(slowly.headers)
    assert quickly.json["total"] == 1


def test_a_token_is_believed_only_after_it_was_proved(visitors: tuple[Visitor, Visitor], asked: list[bool]) -> None:
    ann, _ = visitors
    assert [ann.get("/unread").status_code for _ in range(2)] == [200, 200]
    assert asked == [False, True]


def test_who_is_not_known_is_refused_as_everywhere(chat: Flask, visitors: tuple[Visitor, Visitor]) -> None:
    ann, _ = visitors
    ann.get("/unread")
    client = chat.test_client()
    for headers in ({}, {"Authorization": "Bearer nonsense"}, {"Authorization": f"Basic {ann.token}"}):
        refused, elsewhere = (client.get(f"/api/v1/{path}", headers=headers) for path in ("unread", "users/me"))
        assert (refused.status_code, refused.json) == (elsewhere.status_code, elsewhere.json)
        assert refused.status_code == 401


def test_a_login_that_was_ended_is_refused_at_once(
    counter: Counter, visitors: tuple[Visitor, Visitor], asked: list[bool]
) -> None:
    ann, _ = visitors
    for _ in range(2):
        ann.get("/unread")
    ann.post("/auth/logout")
    for kept in list(counter.auth._kept.values()):  # as the node does when it hears of the end
        counter.auth.forget(kept.caller.login_id)
    assert ann.get("/unread").status_code == 401
    assert asked[-1] is False


def test_what_is_refused_is_told_by_the_route(
    counter: Counter, visitors: tuple[Visitor, Visitor], monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, _ = visitors
    ann.get("/unread")

    def refuse(_: int) -> bytes:
        raise ChatError("overloaded", retry_after=1)

    monkeypatch.setattr(counter.tallies, "answer", refuse)
    refused = ann.get("/unread")
    assert (refused.status_code, refused.json["error"]["code"]) == (503, "overloaded")
    assert refused.headers["Retry-After"] == "1"


@pytest.mark.parametrize("method", ["HEAD", "POST", "OPTIONS"])
def test_other_methods_are_not_its_business(
    chat: Flask, visitors: tuple[Visitor, Visitor], asked: list[bool], method: str
) -> None:
    ann, _ = visitors
    ann.get("/unread")
    answer = chat.test_client().open("/api/v1/unread", method=method, headers={"Authorization": f"Bearer {ann.token}"})
    assert asked[1:] == []
    assert answer.status_code == {"HEAD": 200, "POST": 405, "OPTIONS": 200}[method]


def test_behind_a_proxy_another_origin_is_judged_where_the_proxy_is_known(
    engine: Engine, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = chat_app(engine, redis_url, TRUSTED_PROXIES=1)
    try:
        ann = Visitor(app, "annbehind")
        ann.get("/unread")
        headers = {"Origin": "https://chat.example", "X-Forwarded-Host": "chat.example", "X-Forwarded-Proto": "https"}
        assert ann.get("/unread", headers=headers).headers["Access-Control-Allow-Origin"] == "https://chat.example"
    finally:
        app.extensions["chat.node"].close()
