"""The traps of this stack, each by name, over a real server: what usually breaks a chat on Flask and gevent."""

import itertools
import json
import os
import socket
import time
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from tests.clients.person import Person
from tests.clients.wire import CLOSE, PING, PONG, TEXT, Wire, masked, until_quiet
from tests.deployment import Deployment, Web, wait_for

BROWSER = {
    "Sec_WebSocket_Extensions": "permessage-deflate; client_max_window_bits",
    "User_Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",  # noqa: E501
    "Accept_Language": "en-US,en;q=0.9",
    "Accept_Encoding": "gzip, deflate, br",
    "Cache_Control": "no-cache",
}


def plain(deployment: Deployment) -> str:
    """Return the database's address as libpq takes it."""
    return deployment.postgres.url.replace("+psycopg", "")


def descriptors(web: Web) -> int:
    (worker,) = web.workers()
    return len(os.listdir(f"/proc/{worker}/fd"))


# Order and load.


def test_answers_come_in_the_order_of_the_commands_whatever_they_are(ann: Person, bob: Person) -> None:
    with Wire.of(ann) as wire:
        commands = itertools.cycle(
            [
                ("message.send", {"toUser": bob.id, "content": "x"}),
                ("message.send", {"toUser": ann.id, "content": "x"}),
                ("history", {"conversationId": wire.send(bob, "first")["conversationId"]}),
                ("nonsense", {}),
                ("message.send", {"toUser": "nobody at all", "content": "x"}),
                ("message.send", {"toUser": bob.id, "content": ""}),
                ("ping", {}),
            ]
        )
        numbers = [wire.post(op, **data) for op, data in itertools.islice(commands, 70)]
        wire.answer(numbers[-1])
        assert [frame["re"] for frame in wire.seen if "re" in frame][1:] == numbers


def test_a_read_sees_the_writes_before_it(ann: Person, bob: Person) -> None:
    with Wire.of(ann) as wire:
        conversation = wire.send(bob, "first")["conversationId"]
        for turn in range(5):
            wire.post("message.send", toUser=bob.id, content=f"{turn}")
            page = wire.ask("history", conversationId=conversation, limit=1)["data"]["messages"]
            assert page[-1]["content"] == f"{turn}"


def test_a_connection_with_32_unanswered_commands_is_no_longer_read(
    deployment: Deployment, ann: Person, bob: Person
) -> None:
    """Nothing is answered while the conversation is locked: what the server takes meanwhile is all that it keeps."""
    with Wire.of(ann) as wire, Wire.of(bob) as other, psycopg.connect(plain(deployment)) as holder:
        number = int(wire.send(bob, "first")["id"].partition("-")[0].removeprefix("m"))
        holder.execute("SELECT 1 FROM conversation_heads WHERE conversation_id = %s FOR UPDATE", [number])
        data = {"toUser": bob.id, "content": "x", "padding": "y" * 60_000}
        frames = [masked(json.dumps({"op": "message.send", "id": f"{turn:03}", "data": data})) for turn in range(500)]
        stream, size, taken = memoryview(b"".join(frames)), len(frames[0]), 0
        wire.sock.settimeout(0.7)
        with suppress(TimeoutError):
            while taken < len(stream):
                taken += wire.sock.send(stream[taken : taken + 65_536])
        assert 32 * size < taken < 12_000_000  # 32 commands, and what the kernels keep
        begun = time.monotonic()
        assert "data" in other.ask("ping")
        assert time.monotonic() - begun < 1
        holder.rollback()
        wire.sock.settimeout(20)
        whole = -(-taken // size)
        wire.raw(stream[taken : whole * size])
        answers = [wire.until(lambda frame: "re" in frame) for _ in range(whole)]
        assert [answer["re"] for answer in answers] == [f"{turn:03}" for turn in range(whole)]
        assert all("data" in answer for answer in answers)


@pytest.mark.parametrize(
    "frame", [masked(b"", PING), masked("nonsense"), masked('{"op":"nonsense"}'), masked('{"op":"auth"}')]
)
def test_who_floods_with_what_is_refused_is_closed_with_4429(servers: object, ann: Person, frame: bytes) -> None:
    web = servers(COMMAND_RATE=1, COMMAND_BURST=5)  # type: ignore[operator]
    with Wire.of(ann, url=web.url) as wire, Wire.of(ann, url=web.url) as other:
        wire.raw(frame * 100)
        answered = 0
        with suppress(EOFError, OSError):
            while (opcode := wire.frame()[0]) != CLOSE:
                answered += 1
        assert opcode == CLOSE
        assert answered <= 80
        assert "data" in other.ask("ping")


# Traps of this stack.


def test_frames_larger_than_any_buffer_reach_a_slow_reader_whole(ann: Person, bob: Person) -> None:
    content = "x" * 4_900
    with Wire.of(bob, buffer=4_096) as slow, Wire.of(ann) as wire:
        for turn in range(40):
            wire.send(bob, f"{turn:03}{content}")
        got = []
        while len(got) < 40:
            got.append(slow.event("message")["content"][:3])
            time.sleep(0.005)
        assert got == [f"{turn:03}" for turn in range(40)]


def test_answers_events_and_pongs_on_one_socket_never_cut_into_each_other(ann: Person, bob: Person) -> None:
    content = "y" * 3_000
    with Wire.of(ann, buffer=8_192) as both, Wire.of(bob) as other:
        conversation = both.send(bob, "first")["conversationId"]
        pongs = answers = events = 0
        for turn in range(30):
            other.post("message.send", conversationId=conversation, content=content)
            both.post("history", conversationId=conversation, limit=10)
            both.raw(masked(b"%d" % turn, PING))
        while (pongs, answers, events) != (30, 30, 30):
            opcode, payload = both.frame()
            frame = json.loads(payload) if opcode == TEXT else {}
            pongs += opcode == PONG
            answers += "re" in frame
            events += frame.get("event") == "message"


def test_a_client_that_reads_nothing_is_told_bye_closed_with_4409_and_can_resume(ann: Person, bob: Person) -> None:
    content = "z" * 4_900
    slow = Wire.of(bob, buffer=4_096)
    with Wire.of(ann) as wire:
        for turn in range(160):
            wire.send(bob, f"{turn:03}{content}")
        assert slow.end() == 4409
        (bye,) = slow.events("bye")
        assert bye["code"] == "too_slow"
        assert bye["retryAfter"] > 0
        got = [message["content"][:3] for message in slow.events("message")]
        assert got == [f"{turn:03}" for turn in range(len(got))]
        assert len(got) < 160
        cursor = [data["cursor"] for data in (*slow.events("hello"), *slow.events("cursor"), bye) if "cursor" in data][
            -1
        ]
    with Wire(bob.url, bob.token, path=f"/ws?cursor={cursor}") as again:
        missed: list[int] = []
        while 159 not in missed:
            frame = again.until(lambda frame: frame.get("event") in ("message", "offline.batch"))
            missed += [int(message["content"][:3]) for message in frame["data"].get("messages", [frame["data"]])]
        assert missed == list(range(missed[0], 160))
        assert missed[0] <= len(got)


def test_a_slow_client_holds_nobody_up(ann: Person, bob: Person) -> None:
    cid = Person(ann.url)
    group = ann.group(bob, cid)
    content = "s" * 4_900
    with Wire.of(bob, buffer=4_096), Wire.of(cid) as fast, Wire.of(ann) as wire:
        worst = 0.0
        for _turn in range(160):
            begun = time.monotonic()
            wire.send(group, content)
            fast.event("message")
            worst = max(worst, time.monotonic() - begun)
        assert worst < 1.0


def test_http_on_the_stream_of_a_closed_websocket_is_never_answered(ann: Person) -> None:
    request = f"GET /healthz HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ann.token}\r\n\r\n".encode()
    for farewell in (masked(b"\x03\xe8", CLOSE), masked(b"x", 2)):
        with Wire.of(ann) as wire:
            wire.raw(farewell + request)
            with pytest.raises((EOFError, OSError)):
                while True:
                    opcode, payload = wire.frame()
                    assert opcode == CLOSE or b'"bye"' in payload
                    wire.raw(request)


def test_one_descriptor_per_connection_and_none_is_left_behind(servers: object) -> None:
    web = servers(SESSIONS_PER_USER=1_000)  # type: ignore[operator]
    person = Person(web.url)
    Wire.of(person).close()
    before = wait_for(lambda: descriptors(web), 5, "the worker")
    wires = [Wire.of(person) for _ in range(100)]
    assert descriptors(web) - before <= 100 + 3
    for place, wire in enumerate(wires):
        if place % 3 == 0:
            wire.close()
        elif place % 3 == 1:
            wire.sock.close()
        else:
            wire.raw(masked(b"x", 2))
            wire.end()
    wait_for(lambda: descriptors(web) <= before + 3, 10, "the descriptors to be let go")


def test_an_idle_connection_of_a_browser_takes_less_than_4_kb(servers: object) -> None:
    web = servers(SESSIONS_PER_USER=10_000)  # type: ignore[operator]
    person = Person(web.url)
    (worker,) = web.workers()

    def resident() -> int:
        pages = int(Path(f"/proc/{worker}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    for _ in range(300):
        Wire.of(person, **BROWSER)
    before = resident()
    for _ in range(1_000):
        Wire.of(person, **BROWSER)
    assert (resident() - before) / 1_000 < 4_096


def test_a_half_open_peer_is_let_go_and_a_quiet_one_that_answers_pings_is_not(hasty: Web) -> None:
    person = Person(hasty.url)
    with Wire.of(person) as dead, Wire.of(person) as quiet:
        dead.pongs = False
        until_quiet(quiet, 1 + 10 + 2)  # seconds: the ping's, those in which it must be answered, the pulse's
        assert len(quiet.pings) >= 5
        dead.sock.settimeout(1)
        assert dead.end() in (None, 1005)
        assert dead.sock.recv(1) == b""
        assert "data" in quiet.ask("ping")


@pytest.mark.parametrize("stale", [True, False])
def test_a_pong_to_an_earlier_ping_proves_nothing_of_what_came_after(ann: Person, bob: Person, *, stale: bool) -> None:
    """Who has proved to have everything is told so at the end, by a cursor in `bye`."""
    with Wire.of(bob) as wire, Wire.of(ann) as sender:
        wire.pongs = False
        sender.send(bob, "hello")
        wire.event("cursor")
        until_quiet(wire, 0.3)
        (mark,) = wire.pings
        wire.raw(masked(b"", PONG) + masked(b"0", PONG) if stale else masked(mark, PONG))
        wire.raw(masked(b"x", 2))
        wire.end()
        assert ("cursor" in wire.events("bye")[0]) is not stale


def test_a_lone_message_is_acked_far_below_the_40_ms_that_nagle_costs(ann: Person, bob: Person) -> None:
    with Wire.of(ann) as wire, Wire.of(bob):
        times = []
        for _ in range(20):
            begun = time.monotonic()
            wire.send(bob, "hi")
            times.append(time.monotonic() - begun)
        assert sorted(times)[10] < 0.030


def test_a_second_write_right_behind_the_first_does_not_wait_for_its_acknowledgement(ann: Person, bob: Person) -> None:
    """An answer and, a moment later, another: with Nagle the second waits for a client that delays its ACKs by 40 ms."""  # noqa: E501
    with Wire.of(ann) as wire:
        times = []
        for turn in range(20):
            begun = time.monotonic()
            first = masked(json.dumps({"op": "auth", "id": f"a{turn}", "data": {}}))  # refused at once
            second = masked(
                json.dumps({"op": "message.send", "id": f"b{turn}", "data": {"toUser": bob.id, "content": "x"}})
            )
            wire.raw(first + second)
            wire.answer(f"b{turn}")
            times.append(time.monotonic() - begun)
        assert sorted(times)[10] < 0.030
    with socket.create_connection(("127.0.0.1", int(ann.url.rsplit(":", 1)[1])), 10) as sock:
        times = []
        for _ in range(20):
            begun = time.monotonic()
            sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = b""
            while not answer.endswith(b"}"):
                answer += sock.recv(4_096)
            times.append(time.monotonic() - begun)
        assert sorted(times)[10] < 0.030


def test_no_connection_to_the_database_is_held_while_a_socket_is_open(servers: object) -> None:
    web = servers(SESSIONS_PER_USER=1_000)  # type: ignore[operator]
    person = Person(web.url)
    wires = [Wire.of(person) for _ in range(60)]
    for wire in wires:
        wire.post("conversation.list")
    for wire in wires:
        assert "data" in wire.until(lambda frame: "re" in frame)
    assert "data" in wires[0].ask("ping")


def test_a_restart_says_bye_with_a_cursor_and_1012(deployment: Deployment, tmp_path: Path) -> None:
    web = Web(deployment.environ, tmp_path / "web.log")
    web.start()
    person = Person(web.url)
    with Wire.of(person) as wire:
        web.stop()
        assert wire.end() == 1012
        (bye,) = wire.events("bye")
        assert (bye["code"], bool(bye["cursor"])) == ("restart", True)


def test_nothing_of_all_this_is_an_error_of_ours(deployment: Deployment) -> None:
    log = (deployment.folder / "web0.log").read_text()
    assert "Traceback" not in log, log[-4_000:]
