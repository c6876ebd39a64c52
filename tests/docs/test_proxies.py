"""docs/deploy/nginx.conf and haproxy.cfg before real servers, on every carrier, with TLS."""

import http.client
import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
import websocket

from chat.config import SETTINGS
from tests.clients.crowd import CARRIERS, Crowd
from tests.clients.lines import WebSocketLine
from tests.clients.person import Person, Refused
from tests.deployment import Deployment, Web, wait_for
from tests.docs.conftest import TRIES
from tests.docs.proxy import DEPLOY, PROXIES, Certificate, Proxy

pytestmark = pytest.mark.proxies
DEFAULT = {setting.name: setting.default for setting in SETTINGS}
PATIENCE = 40.0  # seconds for one answer: longer than a poll is held
SOON = 5.0  # seconds: what a proxy holds back comes after a minute or with the end of the answer
INSIDE, OUTSIDE = "127.0.0.1", "127.0.0.9"  # addresses of clients: the machine's own, and one like any other
STRIPPED = {  # how each of the examples is changed into a proxy that knows no WebSocket
    "nginx": [("$http_upgrade;", '"";'), ("$chat_connection;", '"";')],
    "haproxy": [("    option forwardfor\n", "    option forwardfor\n    http-request del-header Upgrade\n")],
}


def ask(url: str, method: str, path: str, source: str = INSIDE, data: Any = None, **headers: str) -> tuple[int, str]:
    """Send a request from an address of this machine; return status and body."""
    connection = http.client.HTTPSConnection(urlsplit(url).netloc, timeout=PATIENCE, source_address=(source, 0))
    try:
        body = data if isinstance(data, bytes) else json.dumps(data)
        connection.request(method, path, body, {"Content-Type": "application/json", **headers})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_everything_arrives_on_every_carrier(crowd: Crowd) -> None:
    people = crowd.persons(len(CARRIERS))
    devices = [crowd.device(person, carrier) for person, carrier in zip(people, CARRIERS, strict=True)]
    group = people[0].group(*people[1:])
    for device in devices:
        device.wait("conversation", lambda data: data["conversationId"] == group, SOON)
    for place, device in enumerate(devices):
        device.send(group, f"from {CARRIERS[place]}")
        for other in devices:
            other.wait_content(f"from {CARRIERS[place]}", SOON)
    crowd.check()


def test_what_the_carriers_say_passes_unchanged(crowd: Crowd, proxy: Proxy) -> None:
    ann = crowd.person()
    head, address = [f"Authorization: Bearer {ann.token}"], proxy.url.replace("https", "wss") + "/ws"
    socket = websocket.create_connection(address, header=head, subprotocols=["chat.v1"], timeout=SOON)
    assert socket.getsubprotocol() == "chat.v1"
    socket.send(json.dumps({"op": "message.send", "id": 1, "data": {"toUser": ann.id, "content": "x" * 5_000}}))
    frames = [json.loads(socket.recv()) for _ in range(2)]
    socket.close()
    assert frames[0]["event"] == "hello"
    assert frames[1]["data"]["content"] == "x" * 5_000


def test_a_change_of_carrier_goes_on_from_the_cursor(crowd: Crowd) -> None:
    ann, bob = crowd.persons(2)
    device = crowd.device(bob, auto=False)
    for number, carrier in enumerate(("poll", "stream", "websocket", "poll")):
        device.move(carrier)
        ann.send(bob, str(number))
        device.wait_content(str(number), SOON)
    device.auto = True
    crowd.check()


def test_any_server_answers_any_poll(proxy: Proxy, crowd: Crowd, webs: list[Web]) -> None:
    """Polls of one chain go here and there, as the proxy has it."""
    ann, bob = crowd.persons(2)
    sent = [str(number) for number in range(30)]  # more hops than a user may have sessions
    cursor, found = "", []
    for content in sent:
        cursor, some = _poll(bob, cursor)
        found += some
        ann.send(bob, content)
    deadline = time.monotonic() + SOON
    while len(found) < len(sent) and time.monotonic() < deadline:
        cursor, some = _poll(bob, cursor)
        found += some
    assert found == sent
    for web in webs:  # whose workers tell each other of their numbers every five seconds
        wait_for(lambda: _sessions_opened(web) > 0, 2 * SOON, "a session on each server")  # noqa: B023


def _poll(person: Person, cursor: str) -> tuple[str, list[str]]:
    """Return the next cursor, and what the messages say."""
    page = person.call("GET", "/poll", {"cursor": cursor, "timeout": 1})
    return page["cursor"], [event["data"]["content"] for event in page["events"] if event["event"] == "message"]


def test_a_page_of_the_proxys_own_address_may_call_and_another_may_not(crowd: Crowd, proxy: Proxy) -> None:
    ann = crowd.person()
    head = [f"Authorization: Bearer {ann.token}"]
    address = proxy.url.replace("https", "wss") + "/ws"
    websocket.create_connection(address, header=head, origin=proxy.url, timeout=SOON).close()
    with pytest.raises(websocket.WebSocketBadStatusException) as refusal:
        websocket.create_connection(address, header=head, origin="https://evil.example", timeout=SOON)
    assert json.loads(refusal.value.resp_body)["error"]["code"] == "bad_origin"
    forged = [*head, "X-Forwarded-Host: evil.example"]
    with pytest.raises(websocket.WebSocketBadStatusException):
        websocket.create_connection(address, header=forged, origin="https://evil.example", timeout=SOON)


def test_the_clients_address_is_told_and_cannot_be_forged(proxy: Proxy) -> None:
    """Tries to log in are counted by address: whatever a client claims, it is the one that the proxy saw."""

    def log_in(number: int, source: str) -> int:
        forged = {"X-Forwarded-For": f"192.0.2.{number}", "Forwarded": f"for=192.0.2.{number}"}
        data = {"username": f"nobody{number}", "password": "a wrong password"}
        return ask(proxy.url, "POST", "/api/v1/auth/login", source, data, **forged)[0]

    guesser, neighbour = {"nginx": ("127.0.1.1", "127.0.1.2"), "haproxy": ("127.0.2.1", "127.0.2.2")}[proxy.name]
    tries = [log_in(number, guesser) for number in range(2 * TRIES + 1)]  # a minute may end within them
    assert set(tries) == {401, 429}
    assert log_in(99, neighbour) == 401


def test_an_upload_passes_and_what_is_larger_is_refused(proxy: Proxy, crowd: Crowd) -> None:
    """The proxy lets through what the server may take; the server's own answer tells that it was asked."""
    bearer = {"Authorization": f"Bearer {crowd.person().token}"}
    status, body = ask(proxy.url, "POST", "/api/v1/groups", data=bytes(DEFAULT["UPLOAD_BYTES"]), **bearer)
    assert (status, json.loads(body)["error"]["code"]) == (413, "too_large")


def test_numbers_about_the_server_stay_inside(proxy: Proxy) -> None:
    for path in ("/metrics", "/readyz"):
        assert ask(proxy.url, "GET", path)[0] == 200
        assert ask(proxy.url, "GET", path, OUTSIDE)[0] == 403
    assert ask(proxy.url, "GET", "/healthz", OUTSIDE)[0] == 200


@pytest.mark.parametrize("name", ["metrics", "readyz"])
def test_they_stay_inside_however_their_address_is_spelled(proxy: Proxy, name: str) -> None:
    """The server decodes an address and takes several slashes as one: a proxy that compares letters lets it through."""
    coded = "".join(f"%{ord(letter):02x}" for letter in name)
    same = [f"/{name}?x", f"/%{ord(name[0]):02X}{name[1:]}", f"/{coded}", f"//{name}", f"///{coded}", f"/%2f{name}"]
    for path in same:
        assert ask(proxy.url, "GET", path, OUTSIDE)[0] == 403, path
    for path in (f"/./{name}", f"/x/../{name}", f"/{name}/", f"/{name}/.", f"/{name};x", f"/%25{coded[1:]}"):
        assert ask(proxy.url, "GET", path, OUTSIDE)[0] in (403, 404), path


def test_without_tls_one_is_led_to_it(proxy: Proxy) -> None:
    answer = requests.get(proxy.plain_url + "/docs?a=b", allow_redirects=False, timeout=SOON)
    assert answer.status_code == 301
    assert re.fullmatch(r"https://127\.0\.0\.1(:\d+)?/docs\?a=b", answer.headers["Location"])


def test_quiet_connections_and_a_held_poll_outlive_their_silence(
    webs: list[Web], tmp_path: Path, certificate: Certificate, deployment: Deployment
) -> None:
    """Both proxies side by side, for it takes the 25 s that polls are held and quiet connections are left alone."""
    proxies = [kind(tmp_path / kind.name, certificate, [web.port for web in webs]) for kind in PROXIES]
    try:
        urls = [proxy.start().url for proxy in proxies]
        with ThreadPoolExecutor(len(urls)) as pool:
            list(pool.map(lambda url: _stay(url, deployment.postgres.url), urls))
    finally:
        for proxy in proxies:
            proxy.stop()


def _stay(url: str, database_url: str) -> None:
    with Crowd([url], database_url) as crowd:
        ann, bob = crowd.persons(2)
        quiet = [crowd.device(bob, carrier, auto=False) for carrier in ("websocket", "stream")]
        cursor = ann.call("GET", "/poll")["cursor"]
        begun = time.monotonic()
        answer = ask(url, "GET", f"/api/v1/poll?timeout=60&cursor={cursor}", Authorization=f"Bearer {ann.token}")
        assert json.loads(answer[1])["events"] == []
        assert time.monotonic() - begun > DEFAULT["POLL_SECONDS"] - 4
        time.sleep(max(0.0, begun + DEFAULT["PING_SECONDS"] + 3 - time.monotonic()))  # silence is what is tried here
        ann.send(bob, "still there?")
        for device in quiet:
            device.wait_content("still there?", SOON)


@pytest.mark.parametrize("kind", PROXIES, ids=lambda kind: kind.name)
def test_where_upgrades_are_stripped_the_websocket_is_refused_and_polls_go_through(
    kind: type[Proxy], webs: list[Web], tmp_path: Path, certificate: Certificate
) -> None:
    proxy = kind(tmp_path / "home", certificate, [web.port for web in webs], STRIPPED[kind.name])
    try:
        ann = Person(proxy.start().url)
        with pytest.raises(Refused) as refusal:
            WebSocketLine(proxy.url, ann.token, "")
        assert refusal.value.code == "invalid"
        assert "A proxy may have taken it away." in refusal.value.error["message"]
        assert ann.call("GET", "/poll")["events"][0]["event"] == "hello"
        ann.close()
    finally:
        proxy.stop()


def test_the_examples_wait_longer_than_the_server_is_ever_silent() -> None:
    """A client that is cut off at 25 s of silence comes back for ever."""
    silence = max(DEFAULT["PING_SECONDS"], DEFAULT["POLL_SECONDS"]) + 2
    patterns = {
        "nginx.conf": r"proxy_(?:read|send)_timeout\s+(\d+)s;",
        "haproxy.cfg": r"timeout (?:client|server|tunnel)\s+(\d+)s\n",
    }
    for file, pattern in patterns.items():
        waits = [int(seconds) for seconds in re.findall(pattern, (DEPLOY / file).read_text())]
        assert waits
        assert min(waits) >= 2 * silence


def _sessions_opened(web: Web) -> float:
    """Return how many sessions a server has opened in all its workers."""
    text = requests.get(web.url + "/metrics", timeout=SOON).text
    return sum(float(value) for value in re.findall(r"^chat_sessions_opened\S* (\S+)", text, re.MULTILINE))
