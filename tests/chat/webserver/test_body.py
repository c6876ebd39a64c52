"""A request's body, read through the real web server."""

import select

import pytest

from tests.chat.webserver.probe import Gunicorn, read_all, read_answer


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


def test_a_body_that_trickles_is_given_up(hurried: Gunicorn) -> None:
    with hurried.connect() as client:
        client.sendall(b"POST /slow_body HTTP/1.1\r\nContent-Length: 100\r\n\r\nabc")
        assert b"the body did not come in time" in read_all(client)


@pytest.mark.parametrize("head", [b"Content-Length: 1000000", b"Transfer-Encoding: chunked"])
def test_a_body_of_which_the_last_part_trickles_is_given_up_as_soon(hurried: Gunicorn, head: bytes) -> None:
    with hurried.connect() as client:
        client.sendall(b"POST /slow_body HTTP/1.1\r\n" + head + b"\r\n\r\n")
        client.sendall((b"f4240\r\n" if b"chunked" in head else b"") + b"x" * 900_000)
        trickled = 0
        while not select.select([client], [], [], 0.2)[0]:
            client.sendall(b"x")
            trickled += 1
            assert trickled < 50, "nobody minds"
        assert b"the body did not come in time" in read_all(client)
    assert trickled > 1  # it had the grace, and the time that 4 kB take
