"""Logins against a running server: what ends, what is closed, who is let in."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
import websocket

from tests.chat.door import PASSWORD
from tests.chat.world import NUMBERS


class Device:
    """A login of a running server, with its live connections."""

    def __init__(self, deployment, username=None):
        self.url, self.username = deployment.url, username or f"Live{next(NUMBERS)}"
        answer = self.post("/auth/login" if username else "/auth/register", username=self.username, password=PASSWORD)
        self.token, self.refresh = answer["accessToken"], answer["refreshToken"]

    def post(self, path, **data):
        return self.call("POST", path, json=data)

    def call(self, method, path, **more):
        headers = {"Authorization": f"Bearer {self.token}"} if hasattr(self, "token") else {}
        answer = requests.request(method, f"{self.url}/api/v1{path}", headers=headers, timeout=10, **more)
        return answer.json()

    def connect(self, query="", **more):
        """Open a WebSocket and return it after its hello."""
        header = {} if query else {"Authorization": f"Bearer {self.token}"}
        address = self.url.replace("http", "ws") + "/ws" + query
        line = websocket.create_connection(address, timeout=10, header=header, **more)
        first = json.loads(line.recv())
        if first["event"] != "hello":
            line.shutdown()
        assert first["event"] == "hello"
        return line


def ending(line):
    """Return what `bye` says and the number that the connection is closed with."""
    said = {}
    while True:
        opcode, data = line.recv_data()
        if opcode == websocket.ABNF.OPCODE_CLOSE:
            line.shutdown()
            return said.get("code"), int.from_bytes(data[:2], "big")
        event = json.loads(data)
        said = event["data"] if event["event"] == "bye" else said


def test_a_ticket_opens_one_websocket_and_no_second(deployment):
    ann = Device(deployment)
    ticket = ann.post("/auth/ticket")["ticket"]
    ann.connect(f"?ticket={ticket}").shutdown()
    with pytest.raises((websocket.WebSocketException, AssertionError)):
        ann.connect(f"?ticket={ticket}")


def test_ending_a_login_closes_its_connections_and_no_others(deployment):
    phone = Device(deployment)
    desktop = Device(deployment, phone.username)
    lines = [desktop.connect(), desktop.connect()]
    mine = phone.connect()
    [other] = [login for login in phone.call("GET", "/auth/logins")["logins"] if not login["current"]]
    assert phone.call("DELETE", f"/auth/logins/{other['id']}") == {"success": True}
    assert [ending(line) for line in lines] == [("login_ended", 4401)] * 2
    mine.send(json.dumps({"op": "user.me", "id": 1}))
    assert json.loads(mine.recv())["re"] == 1
    mine.shutdown()


@pytest.mark.parametrize("how", ["logout", "reuse"])
def test_logging_out_and_a_reused_refresh_token_close_the_connections(deployment, how):
    ann = Device(deployment)
    line = ann.connect()
    if how == "logout":
        ann.post("/auth/logout")
    else:
        for _ in range(2):
            ann.post("/auth/refresh", refreshToken=ann.refresh)
    assert ending(line) == ("login_ended", 4401)


def test_a_websocket_is_opened_for_allowed_origins_only(deployment):
    ann = Device(deployment)
    for origin in (deployment.url, "http://localhost:5173"):
        ann.connect(origin=origin).shutdown()
    with pytest.raises(websocket.WebSocketBadStatusException) as refusal:
        ann.connect(origin="https://evil.example")
    assert refusal.value.status_code == 403


def test_people_who_log_in_do_not_hold_up_the_others(deployment):
    ann = Device(deployment)
    wrong = {"username": ann.username, "password": "wrong horse"}
    longest = 0.0
    with ThreadPoolExecutor(8) as pool:
        guesses = [
            pool.submit(requests.post, f"{deployment.url}/api/v1/auth/login", json=wrong, timeout=20) for _ in range(24)
        ]
        while not all(guess.done() for guess in guesses):
            start = time.perf_counter()
            requests.get(f"{deployment.url}/healthz", timeout=10)
            longest = max(longest, time.perf_counter() - start)
    assert {guess.result().status_code for guess in guesses} <= {401, 429}
    assert longest < 2.0
