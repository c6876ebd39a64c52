"""One connection of the web server as clients meet it: answers, doubtful requests, deadlines, being taken away."""

import json
import socket
import struct
import time

import pytest

from tests.chat.processes import until
from tests.chat.webserver.probe import Gunicorn, read_all, read_answer


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
