"""The native WebSocket over a real server: the handshake, frames that break the rules, and the traps of this stack."""

import json
import socket
import time

import pytest
import requests

from tests.clients.person import Person
from tests.clients.wire import CLOSE, KEY, PING, PONG, TEXT, Wire, masked, upgrade
from tests.deployment import Deployment, Web

# The handshake.


def test_the_handshake_of_the_rfc_with_our_subprotocol(ann: Person) -> None:
    with Wire(ann.url, ann.token, Sec_WebSocket_Protocol="other, chat.v1") as wire:
        assert wire.status == 101
        assert "sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=" in wire.head.lower()
        assert "Sec-WebSocket-Protocol: chat.v1" in wire.head
        hello = wire.event("hello")
        assert hello["user"]["id"] == ann.id
        assert hello["protocol"] == "chat.v1"
        assert hello["heartbeat"] == 25


def test_a_subprotocol_that_is_not_ours_is_not_chosen(ann: Person) -> None:
    with Wire(ann.url, ann.token, Sec_WebSocket_Protocol="graphql-ws") as wire:
        assert "sec-websocket-protocol" not in wire.head.lower()
        wire.event("hello")


def test_permessage_deflate_is_never_accepted(ann: Person) -> None:
    with Wire(ann.url, ann.token, Sec_WebSocket_Extensions="permessage-deflate; client_max_window_bits") as wire:
        assert wire.status == 101
        assert "extensions" not in wire.head.lower()


def test_a_page_of_a_foreign_origin_is_refused_and_one_of_ours_let_in(ann: Person) -> None:
    with Wire(ann.url, ann.token, Origin="https://evil.example") as wire:
        assert wire.status == 403
        assert wire.body["error"]["code"] == "bad_origin"
    with Wire(ann.url, ann.token, Origin=ann.url) as wire:
        assert wire.status == 101


@pytest.mark.parametrize("token", ["nonsense", "a.b.c", "ü"])
def test_a_bad_token_is_answered_401_before_the_upgrade(ann: Person, token: str) -> None:
    with Wire(ann.url, token) as wire:
        assert wire.status == 401
        assert wire.body["error"]["code"] == "bad_token"


def test_an_expired_token_is_answered_401(ann: Person) -> None:
    import jwt

    from tests.deployment import SECRET

    old = jwt.encode({"sub": ann.id, "jti": "old", "iat": 1_000, "exp": 2_000}, SECRET, "HS256")
    with Wire(ann.url, old) as wire:
        assert wire.status == 401
        assert wire.body["error"]["code"] == "bad_token"


def test_what_is_no_websocket_is_told_so(ann: Person) -> None:
    for wrong in ({"Sec_WebSocket_Version": "8"}, {"Sec_WebSocket_Key": "short"}):
        request = upgrade(ann.url, token=ann.token)
        for name, value in wrong.items():
            head = name.replace("_", "-").encode()
            request = request.replace(
                head + (b": 13" if name.endswith("Version") else b": " + KEY.encode()), head + b": " + value.encode()
            )
        with socket.create_connection(("127.0.0.1", int(ann.url.rsplit(":", 1)[1])), 10) as sock:
            sock.sendall(request)
            assert sock.recv(4_096).startswith(b"HTTP/1.1 400 ")
    assert requests.get(ann.url + "/ws", timeout=10).status_code in (400, 404)


def test_a_first_frame_that_comes_with_the_upgrade_is_not_lost(ann: Person) -> None:
    early = masked(json.dumps({"op": "ping", "id": "early", "data": {}}))
    with Wire(ann.url, ann.token, early=early) as wire:
        assert "data" in wire.answer("early")


def test_frames_that_come_with_the_upgrade_in_part_are_not_lost(ann: Person) -> None:
    whole = b"".join(masked(json.dumps({"op": "ping", "id": number, "data": {}})) for number in range(5))
    with Wire(ann.url, ann.token, early=whole[:70]) as wire:
        wire.raw(whole[70:])
        for number in range(5):
            assert "data" in wire.answer(number)


# Who it is.


def test_a_first_frame_may_bring_the_token(ann: Person) -> None:
    with Wire(ann.url) as wire:
        assert wire.status == 101
        assert wire.ask("auth", token=f"Bearer {ann.token}") == {"re": 1, "data": {}}
        assert wire.event("hello")["user"]["id"] == ann.id
        assert "data" in wire.ask("ping")


def test_commands_right_behind_the_first_frame_wait_for_it(ann: Person) -> None:
    first = masked(json.dumps({"op": "auth", "id": 1, "data": {"token": ann.token}}))
    second = masked(json.dumps({"op": "ping", "id": 2, "data": {}}))
    with Wire(ann.url, early=first + second) as wire:
        assert "data" in wire.answer(2)


def test_a_command_before_the_token_is_refused_and_the_connection_kept(ann: Person) -> None:
    with Wire(ann.url) as wire:
        assert wire.ask("ping")["error"]["code"] == "not_authenticated"
        assert wire.ask("auth", token=ann.token)["data"] == {}


def test_a_bad_token_in_the_first_frame_ends_in_4401(ann: Person) -> None:
    with Wire(ann.url) as wire:
        assert wire.ask("auth", token="nonsense")["error"]["code"] == "bad_token"
        assert wire.end() == 4401
        assert wire.events("bye")[0]["code"] == "bad_token"


@pytest.mark.parametrize("token", [None, 5, {}, ""])
def test_what_is_no_token_at_all_ends_in_4401_too(ann: Person, token: object) -> None:
    with Wire(ann.url) as wire:
        wire.post("auth", token=token)
        assert wire.end() == 4401


def test_a_second_auth_is_refused_and_harms_nobody(ann: Person) -> None:
    with Wire.of(ann) as wire:
        assert wire.ask("auth", token=ann.token)["error"]["code"] == "already_authenticated"
        assert "data" in wire.ask("ping")


def test_who_does_not_say_who_they_are_is_let_go_with_4408(hasty: Web) -> None:
    begun = time.monotonic()
    with Wire(hasty.url) as wire:
        assert wire.end() == 4408
        assert wire.events("bye")[0]["code"] == "auth_timeout"
    assert 0.9 < time.monotonic() - begun < 5


def test_a_ticket_opens_one_session(ann: Person) -> None:
    ticket = ann.call("POST", "/auth/ticket")["ticket"]
    with Wire(ann.url, path=f"/ws?ticket={ticket}") as wire:
        assert wire.event("hello")["user"]["id"] == ann.id
    with Wire(ann.url, path=f"/ws?ticket={ticket}") as wire:
        assert wire.status == 401


def test_an_address_has_twenty_sockets_without_a_name(deployment: Deployment, ann: Person) -> None:
    nobodies = [Wire(deployment.url) for _ in range(20)]
    with Wire(deployment.url) as wire:
        assert wire.end() == 4429
    nobodies[0].ask("auth", token=ann.token)
    with Wire(deployment.url) as wire:
        assert wire.ask("ping")["error"]["code"] == "not_authenticated"


def test_the_21st_session_of_a_user_is_told_so_and_the_others_stay(ann: Person) -> None:
    sessions = [Wire.of(ann) for _ in range(20)]
    with Wire(ann.url, ann.token) as wire:
        assert wire.end() == 4429
        assert wire.events("bye")[0]["code"] == "too_many_sessions"
    assert "data" in sessions[0].ask("ping")
    sessions[1].close()
    Wire.of(ann)


def test_the_end_of_a_login_ends_its_session_and_no_other(ann: Person) -> None:
    other = ann.make_token()
    with Wire.of(ann) as wire, Wire.of(ann, token=other) as lasting:
        ann.call("POST", "/auth/logout")
        begun = time.monotonic()
        assert wire.end() == 4401
        assert wire.events("bye")[0]["code"] == "login_ended"
        assert "retryAfter" not in wire.events("bye")[0]
        assert time.monotonic() - begun < 1
        assert "data" in lasting.ask("ping")
    with Wire(ann.url, ann.token) as again:
        assert again.status == 401 or again.end() == 4401


# Frames that break the rules, and commands that make no sense.


@pytest.mark.parametrize(
    ("frame", "number", "code"),
    [
        (masked(b"\x00", 2), 1003, "unsupported_data"),
        (masked(b"x", 3), 1002, "protocol_error"),
        (masked(b"{}", first=0xC0), 1002, "protocol_error"),
        (b"\x81\x02{}", 1002, "protocol_error"),
        (masked(b"x" * 126, PING), 1002, "protocol_error"),
        (masked(b"x", 0), 1002, "protocol_error"),
        (masked(b"x" * 65_537), 4413, "frame_too_big"),
    ],
    ids=["binary", "unknown", "compressed", "unmasked", "long ping", "lost fragment", "oversize"],
)
def test_a_frame_that_breaks_the_rules_ends_the_connection_for_its_reason(
    ann: Person, frame: bytes, number: int, code: str
) -> None:
    with Wire.of(ann) as wire:
        wire.raw(frame)
        assert wire.end() == number
        (bye,) = wire.events("bye")
        assert bye["code"] == code
        assert bye["retryAfter"] > 0


def test_the_largest_frame_is_taken(ann: Person) -> None:
    frame = json.dumps({"op": "ping", "id": 1, "data": {"x": ""}})
    with Wire.of(ann) as wire:
        wire.raw(masked(frame[:-3] + "x" * (65_536 - len(frame)) + '"}}'))
        assert "data" in wire.answer(1)


@pytest.mark.parametrize(
    "frame", ["", "nonsense", "[]", '{"op":5}', '{"op":"ping","data":[]}', '{"op":"ping","id":{}}', "\xff"]
)
def test_what_is_no_command_is_answered_and_the_connection_kept(ann: Person, frame: str) -> None:
    with Wire.of(ann) as wire:
        wire.raw(masked(frame.encode("latin-1")))
        refused = wire.until(lambda answer: "re" in answer)
        assert refused["re"] is None
        assert refused["error"]["code"] == "invalid"
        assert "data" in wire.ask("ping")


def test_the_number_of_a_refused_command_is_told_where_it_could_be_read(ann: Person) -> None:
    with Wire.of(ann) as wire:
        wire.raw(masked('{"op":"ping","id":77,"data":[]}'))
        assert wire.answer(77)["error"]["code"] == "invalid"


def test_an_unknown_verb_is_answered_and_the_connection_kept(ann: Person) -> None:
    with Wire.of(ann) as wire:
        refused = wire.ask("message.explode")["error"]
        assert refused["code"] == "unknown_verb"
        assert "data" in wire.ask("ping")


def test_wrong_types_are_named_field_by_field(ann: Person) -> None:
    with Wire.of(ann) as wire:
        refused = wire.ask("message.send", toUser=[], content=5)["error"]
        assert refused["code"] == "invalid"
        assert set(refused["details"]) == {"toUser", "content"}


def test_metadata_nested_as_deep_as_json_allows_ends_nobodys_session(ann: Person) -> None:
    deep = '{"op":"message.send","id":1,"data":{"toUser":"%s","content":"x","metadata":%s}}'
    with Wire.of(ann) as wire:
        wire.raw(masked(deep % (ann.id, '{"a":' * 900 + "1" + "}" * 900)))
        assert wire.answer(1)["error"]["code"] == "invalid"
        assert "data" in wire.ask("ping")


def test_a_ping_of_the_client_is_answered_with_its_octets_even_between_fragments(ann: Person) -> None:
    command = json.dumps({"op": "ping", "id": 9, "data": {}}).encode()
    with Wire.of(ann) as wire:
        wire.raw(masked(command[:5], TEXT, 0) + masked(b"mark", PING) + masked(command[5:], 0))
        assert wire.frame() == (PONG, b"mark")
        assert "data" in wire.answer(9)


def test_a_close_of_the_client_is_answered_and_the_socket_ends(ann: Person) -> None:
    with Wire.of(ann) as wire:
        wire.raw(masked((1000).to_bytes(2, "big") + b"bye", CLOSE))
        assert wire.frame() == (CLOSE, (1000).to_bytes(2, "big"))
        assert wire.sock.recv(1) == b""


def test_nothing_follows_the_close_frame(ann: Person) -> None:
    with Wire.of(ann) as wire:
        wire.raw(masked(b"x", 2) + masked("nonsense") + masked(b"", PING))
        opcode = TEXT
        while opcode != CLOSE:
            opcode, _ = wire.frame()
        wire.raw(masked("nonsense") + masked(b"", PING) + masked(b"\x03\xeb", CLOSE))
        with pytest.raises((EOFError, OSError)):
            wire.frame()
