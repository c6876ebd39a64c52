"""The web server as clients meet it: a real gunicorn with our worker class, over real sockets."""

import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
DEADLINE = 20.0


def until(condition: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + DEADLINE
    while not (result := condition()):
        assert time.monotonic() < deadline, f"never happened: {what}"
        time.sleep(0.01)
    return result


class Gunicorn:
    """A gunicorn running probe_app on a port of its own."""

    def __init__(self, folder: Path, *, limit: int = 0, **environ: str):
        self.log, self.mark = folder / "log", folder / "mark"
        with socket.create_server(("127.0.0.1", 0)) as listener, self.log.open("wb") as log:
            self.port = listener.getsockname()[1]
            gunicorn = f"{sys.executable} -m gunicorn -c chat/webserver.py --pythonpath tests/chat probe_app:app"
            self.process = subprocess.Popen(
                ["/bin/sh", "-c", f"ulimit -n {limit}; exec {gunicorn}" if limit else f"exec {gunicorn}"],
                env={**os.environ, "CHAT_LISTEN_FD": str(listener.fileno()), "PROBE_MARK": str(self.mark), **environ},
                cwd=ROOT, pass_fds=[listener.fileno()], stdout=log, stderr=log,
            )  # fmt: skip
        self.wait_ready()

    def wait_ready(self) -> None:
        until(lambda: self.process.poll() is not None or self.get("/hello").endswith(b"hello"), "gunicorn serves")
        assert self.process.poll() is None, self.log.read_text()

    def connect(self) -> socket.socket:
        client = socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return client

    def exchange(self, request: bytes) -> bytes:
        """Send, and read until the server closes."""
        with self.connect() as client:
            client.sendall(request)
            return read_all(client)

    def get(self, path: str, *headers: str) -> bytes:
        lines = [f"GET {path} HTTP/1.1", "Host: x", "Connection: close", *headers, "", ""]
        return self.exchange("\r\n".join(lines).encode())

    def numbers(self) -> dict[str, Any]:
        return dict(json.loads(self.get("/numbers").partition(b"\r\n\r\n")[2]))

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(DEADLINE)


def read_all(client: socket.socket) -> bytes:
    data = bytearray()
    try:
        while piece := client.recv(1 << 20):
            data += piece
    except ConnectionResetError:
        data += b"<reset>"
    return bytes(data)


def read_answer(client: socket.socket) -> bytes:
    """Read one answer that tells its length."""
    data = bytearray()
    while b"\r\n\r\n" not in data:
        data += client.recv(1)
    length = re.search(rb"Content-Length: (\d+)", data)
    assert length
    while not data.endswith(b"\r\n\r\n" if length[1] == b"0" else b""):
        data += client.recv(1)
    body = bytearray()
    while len(body) < int(length[1]):
        body += client.recv(int(length[1]) - len(body))
    return bytes(data + body)


def gone(pid: int) -> bool:
    try:
        return "State:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return True


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gunicorn]:
    gunicorn = Gunicorn(tmp_path_factory.mktemp("server"))
    yield gunicorn
    gunicorn.stop()


@pytest.fixture(scope="module")
def hurried(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gunicorn]:
    gunicorn = Gunicorn(tmp_path_factory.mktemp("hurried"), PROBE_HURRY="1")
    yield gunicorn
    gunicorn.stop()


# Answers.


def test_the_worker_is_patched_and_nagle_is_off(server: Gunicorn) -> None:
    numbers = server.numbers()
    assert numbers["patched"] is True
    assert numbers["nodelay"] == 1


def test_head_and_body_come_in_one_segment(server: Gunicorn) -> None:
    with server.connect() as client:
        client.sendall(b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
        assert read_answer(client).endswith(b"hello")
        info = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
        (data_segments_in,) = struct.unpack_from("I", info, 152)
        assert data_segments_in == 1


def test_a_kept_connection_serves_many_requests_and_a_pipelined_pair(server: Gunicorn) -> None:
    with server.connect() as client:
        for _ in range(3):
            client.sendall(b"GET /hello HTTP/1.1\r\n\r\n\r\nGET /hello HTTP/1.1\r\n\r\n")
            assert [read_answer(client)[-5:] for _ in range(2)] == [b"hello", b"hello"]


@pytest.mark.parametrize(
    ("request_", "header"),
    [
        ("GET /hello HTTP/1.1", "Connection: close"),
        ("GET /hello HTTP/1.0", "Host: x"),
        ("GET /unsized HTTP/1.0", "Connection: keep-alive"),
    ],
)
def test_the_last_answer_of_a_connection_says_so(server: Gunicorn, request_: str, header: str) -> None:
    answer = server.exchange(f"{request_}\r\n{header}\r\n\r\n".encode())
    assert answer.count(b"Connection:") == 1
    assert b"\r\nConnection: close\r\n" in answer


def test_an_answer_of_unknown_length_comes_in_chunks(server: Gunicorn) -> None:
    assert server.get("/unsized").partition(b"\r\n\r\n")[2] == b"4\r\none \r\n3\r\ntwo\r\n0\r\n\r\n"


@pytest.mark.parametrize("path", ["/hello", "/unsized", "/large"])
def test_an_answer_to_head_has_no_body(server: Gunicorn, path: str) -> None:
    answer = server.exchange(f"HEAD {path} HTTP/1.1\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\n")


def test_a_fault_of_the_application_is_500_in_the_common_shape_and_logged(server: Gunicorn) -> None:
    head, _, body = server.get("/crash").partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 500 ")
    assert json.loads(body)["error"]["code"] == "internal"
    assert "LookupError: a fault of ours" in server.log.read_text()


# Requests.


def test_a_body_is_read_by_length_and_in_chunks(server: Gunicorn) -> None:
    assert server.exchange(b"POST /echo HTTP/1.1\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc").endswith(b"abc")
    head = b"POST /echo HTTP/1.1\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert server.exchange(head + b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n").endswith(b"abcde")


def test_a_client_that_asks_first_is_told_to_go_on(server: Gunicorn) -> None:
    with server.connect() as client:
        client.sendall(b"POST /echo HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
        assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"abc")
        assert read_answer(client).endswith(b"abc")


def test_a_client_that_asks_first_and_is_refused_need_not_send(server: Gunicorn) -> None:
    answer = server.exchange(b"POST /ignore HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 30\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"Connection: close" in answer


def test_the_answer_to_a_large_body_that_is_not_read_arrives(server: Gunicorn) -> None:
    with server.connect() as client:
        client.sendall(b"POST /ignore HTTP/1.1\r\nContent-Length: 3000000\r\n\r\n" + b"x" * 3_000_000)
        answer = read_all(client)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert answer.endswith(b"not read")


def test_the_rest_of_a_small_body_is_no_request(server: Gunicorn) -> None:
    hidden = b"GET /crash HTTP/1.1\r\n\r\n"
    with server.connect() as client:
        client.sendall(b"POST /ignore HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (len(hidden), hidden))
        client.sendall(b"GET /hello HTTP/1.1\r\n\r\n")
        assert read_answer(client).endswith(b"not read")
        assert read_answer(client).endswith(b"hello")


def test_permessage_deflate_is_not_offered_to_the_application(server: Gunicorn) -> None:
    answer = server.get("/show", "Sec-WebSocket-Extensions: permessage-deflate", "X-Other: kept")
    environ = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert environ["HTTP_X_OTHER"] == "kept"
    assert "HTTP_SEC_WEBSOCKET_EXTENSIONS" not in environ


@pytest.mark.parametrize(
    ("status", "request_"),
    [
        (400, b"\x88\x82garbage\r\n\r\n"),
        (400, b"GET / HTTP/1.1\nHost: x\n\n"),
        (400, b"POST /echo HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        (414, b"GET /" + b"x" * 40_000),
        (431, b"GET / HTTP/1.1\r\nCookie: " + b"x" * 40_000),
        (431, b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 6_000),
    ],
)
def test_a_bad_request_gets_a_clear_answer_and_the_end(server: Gunicorn, status: int, request_: bytes) -> None:
    before = server.log.read_text()
    head, _, body = server.exchange(request_).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert json.loads(body)["error"]["code"] in ("invalid", "too_large")
    assert server.log.read_text() == before


def test_a_reset_by_the_client_leaves_no_trace_in_the_log(server: Gunicorn) -> None:
    before = server.log.read_text()
    half_a_body = b"POST /slow_body HTTP/1.1\r\nContent-Length: 100\r\n\r\nabc"
    for request in (b"GET /large HTTP/1.1\r\n\r\n", half_a_body, b"GET /he"):
        with server.connect() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.sendall(request)
            if b"large" in request:
                client.recv(1)
    until(lambda: server.numbers()["handlers"] == 1, "all three are gone")
    assert server.log.read_text() == before


# Time.


def test_a_head_that_trickles_is_answered_408(hurried: Gunicorn) -> None:
    with hurried.connect() as client:
        start = time.monotonic()
        client.settimeout(0.1)
        answer = b""
        while not answer:
            assert time.monotonic() - start < 5
            client.sendall(b"X")
            try:
                answer = client.recv(1000)
            except TimeoutError:
                continue
    assert answer.startswith(b"HTTP/1.1 408 ")


def test_a_body_that_trickles_is_given_up(hurried: Gunicorn) -> None:
    with hurried.connect() as client:
        client.sendall(b"POST /slow_body HTTP/1.1\r\nContent-Length: 100\r\n\r\nabc")
        assert b"the body did not come in time" in read_all(client)


def test_a_slow_reader_gets_a_large_answer_whole_as_long_as_it_moves(hurried: Gunicorn) -> None:
    received = 0
    with hurried.connect() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
        client.sendall(b"GET /large HTTP/1.1\r\nConnection: close\r\n\r\n")
        start = time.monotonic()
        while piece := client.recv(32_768):
            received += len(piece)
            time.sleep(0.03)  # the pace of the reader: 1 MB a second at most
    assert received > 3_000_000
    assert time.monotonic() - start > 2


def test_a_reader_that_stands_still_is_cut_off(hurried: Gunicorn) -> None:
    with hurried.connect() as client:
        client.sendall(b"GET /large HTTP/1.1\r\n\r\n")
        until(lambda: hurried.numbers()["handlers"] == 1, "its handler has ended")
        assert len(read_all(client)) < 3_000_000


def test_an_idle_connection_is_closed_without_a_word(hurried: Gunicorn) -> None:
    assert hurried.exchange(b"") == b""


# Connections that are taken away.


@pytest.mark.parametrize("path", ["/detach", "/detach_by_hand", "/detach_and_crash"])
def test_a_detached_connection_belongs_to_the_transport_alone(server: Gunicorn, path: str) -> None:
    with server.connect() as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n".encode())
        assert client.recv(100) == b"early:\n"
        for word in (b"one", b"GET /hello HTTP/1.1\r\n\r\n"):
            client.sendall(word)
            assert client.recv(100) == b"echo:" + word


def test_bytes_that_came_with_the_upgrade_are_handed_over(server: Gunicorn) -> None:
    with server.connect() as client:
        client.sendall(b"GET /detach HTTP/1.1\r\nUpgrade: websocket\r\n\r\nfirst frame")
        assert client.recv(100) == b"early:first frame\n"


def test_after_the_end_of_a_websocket_nothing_on_its_stream_is_answered(server: Gunicorn) -> None:
    with server.connect() as client:
        client.sendall(b"GET /detach HTTP/1.1\r\nUpgrade: websocket\r\n\r\n")
        assert client.recv(100) == b"early:\n"
        client.sendall(b"bye")
        client.sendall(b"GET /hello HTTP/1.1\r\n\r\n")
        assert read_all(client).removesuffix(b"<reset>") == b""


def test_a_thousand_connections_leave_no_descriptor_and_no_handler(server: Gunicorn) -> None:
    before = server.numbers()
    for number in range(1000):
        with server.connect() as client:
            client.sendall(b"GET /%s HTTP/1.1\r\n\r\n" % (b"detach" if number % 2 else b"hello"))
            client.recv(1000)
    after = until(lambda: (now := server.numbers())["fds"] <= before["fds"] and now, "the descriptors are free again")
    assert after["handlers"] <= 2


def test_beyond_its_descriptors_the_server_says_so(tmp_path: Path) -> None:
    gunicorn = Gunicorn(tmp_path, limit=400)
    clients: list[socket.socket] = []
    try:
        answers = []
        for _ in range(400):
            client = gunicorn.connect()
            clients.append(client)
            client.sendall(b"GET /detach HTTP/1.1\r\n\r\n")
            answers.append(client.recv(1000)[:12])
            if answers[-1] == b"HTTP/1.1 503":
                break
        assert answers[-1] == b"HTTP/1.1 503"
        assert 144 <= len(answers) < 400
        assert set(answers[:-1]) == {b"early:\n"}
        for client in clients:
            client.close()
        until(lambda: gunicorn.get("/hello").endswith(b"hello"), "there is room again")
        assert "Traceback" not in gunicorn.log.read_text()
    finally:
        for client in clients:
            client.close()
        gunicorn.stop()


# Its end.


def test_a_stop_drains_the_node_finishes_answers_and_does_not_wait_for_idle_connections(tmp_path: Path) -> None:
    gunicorn = Gunicorn(tmp_path)
    with gunicorn.connect() as idle, gunicorn.connect() as busy:
        idle.sendall(b"GET /hello HTTP/1.1\r\n\r\n")
        read_answer(idle)
        busy.sendall(b"GET /slow HTTP/1.1\r\n\r\n")
        until(lambda: gunicorn.numbers()["handlers"] == 3, "the slow request has begun")
        start = time.monotonic()
        gunicorn.process.terminate()
        answer = read_all(busy)
        assert answer.endswith(b"slow but whole")
        assert b"Connection: close" in answer
        assert read_all(idle) == b""
    assert gunicorn.process.wait(DEADLINE) == 0
    assert time.monotonic() - start < 4
    assert gunicorn.mark.read_text().startswith("drained 4.0 ")


def test_a_killed_worker_is_replaced(tmp_path: Path) -> None:
    gunicorn = Gunicorn(tmp_path)
    first = gunicorn.numbers()["pid"]
    os.kill(first, signal.SIGKILL)
    second = until(lambda: (pid := gunicorn.numbers()["pid"]) != first and pid, "another worker serves")
    assert gone(first)
    assert not gone(second)
    gunicorn.stop()


def test_workers_end_with_a_killed_master(tmp_path: Path) -> None:
    gunicorn = Gunicorn(tmp_path)
    worker = gunicorn.numbers()["pid"]
    gunicorn.process.kill()
    gunicorn.process.wait()
    until(lambda: gone(worker), "the worker has ended")
