import re
from base64 import b64encode
from hashlib import sha256

import pytest

from chat.errors import CODES
from tests.chat.door import rest_app


@pytest.fixture(scope="module")
def client(engine, redis_url):
    return rest_app(engine, redis_url).test_client()


def test_the_documents_are_answered_without_a_token(client):
    assert client.get("/openapi.json").json["openapi"].startswith("3.1")
    assert client.get("/asyncapi.json").json["asyncapi"].startswith("3.")


def test_the_page_names_every_route_command_event_and_code(client):
    page = client.get("/docs")
    assert page.status_code == 200
    assert "/api/v1/auth/login" in page.text
    assert "command.message.send" in page.text
    assert "event.receipt" in page.text
    assert all(f"<code>{code}</code>" in page.text for code in CODES)


def test_the_page_keeps_a_strict_policy_and_needs_nothing_else(client):
    page = client.get("/docs")
    policy = page.headers["Content-Security-Policy"]
    style = re.search("<style>(.*?)</style>", page.text, re.DOTALL)[1]
    assert f"'sha256-{b64encode(sha256(style.encode()).digest()).decode()}'" in policy
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert not re.search(r"<script|<img|<link|style=|\son\w+=|src=|https?://", page.text)


def test_links_of_the_page_lead_to_places_on_it(client):
    page = client.get("/docs").text
    places = set(re.findall(r'id="([^"]+)"', page))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= places
