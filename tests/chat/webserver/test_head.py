"""The head of an HTTP request: what is understood, and what two servers might read differently is refused."""

import pytest

from chat.webserver.head import BadRequestError, parse_head


def head(*lines: str) -> bytes:
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def test_an_ordinary_request_is_understood() -> None:
    read = parse_head(head("POST /a%20b?c=d HTTP/1.1", "Host: x", "Content-Length: 12", "X-Thing:  spaced\t"))
    assert (read.method, read.target, read.version) == ("POST", "/a%20b?c=d", "HTTP/1.1")
    assert (read.length, read.keep_alive) == (12, True)
    assert read.headers == {"host": "x", "content-length": "12", "x-thing": "spaced"}


@pytest.mark.parametrize(
    ("version", "connection", "kept"),
    [
        ("1.1", "", True),
        ("1.1", "close", False),
        ("1.1", "Keep-Alive, Upgrade", True),
        ("1.0", "", False),
        ("1.0", "Keep-Alive", True),
    ],
)
def test_the_connection_is_kept_as_version_and_header_say(version: str, connection: str, kept: bool) -> None:
    assert parse_head(head(f"GET / HTTP/{version}", f"Connection: {connection}")).keep_alive is kept


def test_values_of_a_repeated_header_are_joined() -> None:
    read = parse_head(head("GET / HTTP/1.1", "Cookie: a=1", "Accept: x", "cookie: b=2", "accept: y"))
    assert read.headers == {"cookie": "a=1; b=2", "accept": "x,y"}


def test_a_header_with_an_underscore_is_dropped() -> None:
    assert parse_head(head("GET / HTTP/1.1", "X_Forwarded_For: 1.2.3.4")).headers == {}


@pytest.mark.parametrize(
    ("target", "path"), [("http://chat.example/a?b", "/a?b"), ("https://chat.example", "/"), ("HTTP://h?q", "/?q")]
)
def test_an_absolute_target_names_host_and_path(target: str, path: str) -> None:
    read = parse_head(head(f"GET {target} HTTP/1.1", "Host: other"))
    assert read.target == path
    assert read.headers["host"] != "other"


def test_a_chunked_body_has_no_length() -> None:
    assert parse_head(head("POST / HTTP/1.1", "Transfer-Encoding: Chunked")).length == -1


@pytest.mark.parametrize(
    ("status", "lines"),
    [
        (400, ["GET /"]),
        (400, ["GET  / HTTP/1.1"]),
        (400, ["\x88\x82abcd"]),
        (400, ["GET /\x01 HTTP/1.1"]),
        (400, ["CONNECT chat.example:443 HTTP/1.1"]),
        (505, ["GET / HTTP/2.0"]),
        (414, ["GET /" + "x" * 9_000 + " HTTP/1.1"]),
        (400, ["GET / HTTP/1.1", "no colon"]),
        (400, ["GET / HTTP/1.1", "Space : before the colon"]),
        (400, ["GET / HTTP/1.1", "A: b", " folded"]),
        (400, ["GET / HTTP/1.1", "A: b\nC: d"]),
        (400, ["GET / HTTP/1.1", "A: b\x00"]),
        (400, ["GET / HTTP/1.1", "Host: a", "Host: b"]),
        (400, ["POST / HTTP/1.1", "Content-Length: 5", "Content-Length: 5"]),
        (400, ["POST / HTTP/1.1", "Content-Length: +5"]),
        (400, ["POST / HTTP/1.1", "Content-Length: -5"]),
        (400, ["POST / HTTP/1.1", "Content-Length: \xb2"]),
        (400, ["POST / HTTP/1.1", "Content-Length: 5", "Transfer-Encoding: chunked"]),
        (400, ["POST / HTTP/1.0", "Transfer-Encoding: chunked"]),
        (501, ["POST / HTTP/1.1", "Transfer-Encoding: gzip, chunked"]),
        (431, ["GET / HTTP/1.1", *(f"A{number}: b" for number in range(101))]),
    ],
)
def test_a_doubtful_head_is_refused(status: int, lines: list[str]) -> None:
    with pytest.raises(BadRequestError) as refused:
        parse_head(head(*lines))
    assert refused.value.status == status
