"""The page is served with a strict policy, asked for anew at each reload, and nothing outside its folder is."""

from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from chat.routes import web


@pytest.fixture
def client() -> FlaskClient:
    app = Flask(__name__, static_folder=None)
    app.config.update(STORAGE_URL="", STORAGE_PUBLIC_URL="", DATA_DIR="/nowhere")
    app.register_blueprint(web.blueprint)
    return app.test_client()


@pytest.mark.parametrize("path", ["/", "/web/main.js", "/web/nothing.js"])
def test_every_answer_carries_the_policy(client: FlaskClient, path: str) -> None:
    with client.get(path) as answer:
        assert {name: answer.headers[name] for name in web.HEADERS} == web.HEADERS


def test_pictures_may_come_from_the_storage_of_uploads_and_nothing_else_may(client: FlaskClient) -> None:
    client.application.config["STORAGE_URL"] = "s3://key:secret@s3.example/bucket"
    with client.get("/") as answer:
        policy = answer.headers["Content-Security-Policy"]
    assert "img-src 'self' https://s3.example data: blob:;" in policy
    assert policy.replace(" https://s3.example", "") == web.POLICY


def test_the_policy_lets_nothing_foreign_or_inline_in() -> None:
    directives = dict(part.strip().split(" ", 1) for part in web.POLICY.split(";"))
    assert directives["default-src"] == "'none'"
    assert directives["script-src"] == directives["style-src"] == directives["connect-src"] == "'self'"
    assert "unsafe" not in web.POLICY


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html"),
        ("/web/app.js", "javascript"),
        ("/web/styles/theme.css", "text/css"),
        ("/web/icon.svg", "svg"),
    ],
)
def test_files_are_what_they_say(client: FlaskClient, path: str, kind: str) -> None:
    with client.get(path) as answer:
        assert answer.status_code == 200
        assert kind in answer.content_type


def test_an_unchanged_file_is_not_sent_again(client: FlaskClient) -> None:
    with client.get("/web/app.js") as first:
        etag = first.headers["ETag"]
        assert first.headers["Last-Modified"]
    with client.get("/web/app.js", headers={"If-None-Match": etag}) as second:
        assert (second.status_code, second.data) == (304, b"")
        assert second.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize("path", ["/web/../app.py", "/web/%2e%2e/config.py", "/web//etc/passwd", "/web/", "/web/views"])
def test_nothing_outside_the_folder_is_served(client: FlaskClient, path: str) -> None:
    with client.get(path, follow_redirects=True) as answer:
        assert answer.status_code == 404


def test_the_page_holds_nothing_inline() -> None:
    page = (Path(web.FILES) / "index.html").read_text()
    assert "<style" not in page
    assert " style=" not in page
    assert " on" not in page.replace(" one", "")
    assert page.count("<script") == 1
