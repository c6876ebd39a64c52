"""A shortcut answers what it takes and leaves the rest to Flask."""

from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask

from chat.errors import ChatError
from chat.frames import Caller
from chat.routes import errors
from chat.shortcut import Answer, add_shortcut

CALLER = Caller(1, "ann", 1)


@pytest.fixture
def app() -> Flask:
    made = Flask(__name__)
    made.config.update(CORS_ORIGINS=("https://page.example",), ENVIRONMENT="production", TRUSTED_PROXIES=0)
    auth = SimpleNamespace(believed=lambda header: CALLER if header == "Bearer known" else None)
    made.extensions["chat.node"] = SimpleNamespace(auth=auth)
    made.add_url_rule("/quick", view_func=lambda: "by Flask", methods=["GET", "POST"])
    return made


def ask(app: Flask, path: str = "/quick", method: str = "GET", **headers: str) -> Any:
    return app.test_client().open(path, method=method, headers={"Authorization": "Bearer known"} | headers)


def test_what_is_taken_does_not_reach_flask(app: Flask) -> None:
    seen: list[Any] = []

    def answer(node: Any, caller: Caller, environ: dict[str, Any]) -> Answer:
        seen.append((node, caller, environ["PATH_INFO"]))
        return Answer(b"{}", (("Chat-Session", "s1"),))

    add_shortcut(app, "/quick", answer)
    told = ask(app)
    assert (told.status_code, told.data, told.headers["Chat-Session"]) == (200, b"{}", "s1")
    assert (told.headers["Content-Type"], told.headers["Content-Length"]) == ("application/json", "2")
    assert seen == [(app.extensions["chat.node"], CALLER, "/quick")]


@pytest.mark.parametrize(
    ("path", "method", "headers"),
    [
        ("/quick", "GET", {"Authorization": "Bearer unknown"}),
        ("/quick", "GET", {"Authorization": ""}),
        ("/quick", "POST", {}),
        ("/quick?a=b", "GET", {}),
    ],
)
def test_anything_else_is_left_to_flask(app: Flask, path: str, method: str, headers: dict[str, str]) -> None:
    add_shortcut(app, "/quick", lambda *_: Answer(b"{}"))
    assert ask(app, path, method, **headers).data == b"by Flask"


def test_a_query_is_taken_where_it_is_said(app: Flask) -> None:
    add_shortcut(app, "/quick", lambda *_: Answer(b"{}"), query=True)
    assert ask(app, "/quick?a=b").data == b"{}"
    assert ask(app, "/other").status_code == 404


def test_what_is_not_taken_is_left_to_flask(app: Flask) -> None:
    add_shortcut(app, "/quick", lambda *_: None)
    assert ask(app).data == b"by Flask"


def test_what_is_refused_is_not_asked_again_and_looks_as_elsewhere(app: Flask) -> None:
    asked: list[str] = []

    def refuse(*_: Any) -> Answer:
        asked.append("quickly")
        raise ChatError("overloaded", retry_after=3)

    def view() -> Any:
        asked.append("by Flask")
        raise ChatError("overloaded", retry_after=3)

    app.register_blueprint(errors.blueprint)
    app.after_request(lambda response: response.headers.add("X-After", "yes") or response)
    app.extensions["chat.node"].metrics = SimpleNamespace(errors=Counter())
    app.view_functions["<lambda>"] = view
    expected = ask(app)
    add_shortcut(app, "/quick", refuse)
    told = ask(app)
    assert asked == ["by Flask", "quickly"]
    assert (told.status_code, told.data, [*told.headers]) == (503, expected.data, [*expected.headers])
    assert (told.headers["Retry-After"], told.headers["X-After"]) == ("3", "yes")
    assert app.extensions["chat.node"].metrics.errors == {"overloaded": 2}


@pytest.mark.parametrize("proxies", [0, 1])
def test_a_page_of_another_origin_is_told_what_it_may_read(app: Flask, proxies: int) -> None:
    app.config["TRUSTED_PROXIES"] = proxies
    add_shortcut(app, "/quick", lambda *_: Answer(b"{}"))
    told = ask(app, Origin="https://page.example")
    if proxies:  # which host the proxy was asked for is not known before Flask
        assert told.data == b"by Flask"
    else:
        assert told.headers["Access-Control-Allow-Origin"] == "https://page.example"
    assert "Access-Control-Allow-Origin" not in ask(app, Origin="https://evil.example").headers
