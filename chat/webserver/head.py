"""The head of an HTTP/1 request: bytes in, method, target and headers out. Pure, strict, bounded.

Strict, because we may stand behind a proxy: where two servers read the same bytes differently, one request can hide in
another. So nothing doubtful is mended: it is refused.
"""

import re
from typing import NamedTuple

__all__ = ["HEAD_BYTES", "LINE_BYTES", "BadRequestError", "RequestHead", "parse_head"]

HEAD_BYTES = 32_768  # all of it: the 8 kB that common proxies pass on, and room for a host application's cookies
LINE_BYTES = 8_192  # the request line
HEADERS = 100  # of them: browsers send some twenty, proxies add a few

_REQUEST_LINE = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) ([^\x00-\x20\x7f]+) HTTP/(\d)\.(\d)\Z")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_FORBIDDEN = re.compile(r"[\x00\r\n]")
_LENGTH = re.compile(r"[0-9]{1,18}\Z")
_ABSOLUTE = re.compile(r"https?://([^/?#]+)(.*)\Z", re.IGNORECASE)


class BadRequestError(Exception):
    """The head is refused; `status` is the HTTP status of the answer."""

    def __init__(self, status: int, reason: str):
        self.status = status
        super().__init__(reason)


class RequestHead(NamedTuple):
    """A request's head. `headers` maps lower-case names to values, several of one name joined as WSGI wants it.

    `length` is that of the body: bytes, None without a body, -1 if it comes in chunks.
    """

    method: str
    target: str
    version: str
    headers: dict[str, str]
    length: int | None
    keep_alive: bool


def parse_head(data: bytes) -> RequestHead:
    """Read `data`: a whole head with its final empty line. Raises BadRequestError."""
    lines = data.decode("latin-1")[:-4].split("\r\n")
    method, target, version = _request_line(lines[0])
    if len(lines) > HEADERS + 1:
        raise BadRequestError(431, "too many headers")
    headers = _headers(lines)
    absolute = _ABSOLUTE.match(target)
    if absolute:  # a proxy's way of asking; the address then wins over Host
        headers["host"], target = absolute[1], absolute[2] if absolute[2].startswith("/") else "/" + absolute[2]
    elif not target.startswith("/") and target != "*":
        raise BadRequestError(400, "not a target of this server")
    return RequestHead(method, target, version, headers, _length(headers, version), _keep_alive(headers, version))


def _request_line(line: str) -> tuple[str, str, str]:
    if len(line) > LINE_BYTES:
        raise BadRequestError(414, "request line too long")
    found = _REQUEST_LINE.match(line)
    if found is None:
        raise BadRequestError(400, "not an HTTP request")
    if found[3] != "1":
        raise BadRequestError(505, "HTTP/1 only")
    return found[1], found[2], "HTTP/1.0" if found[4] == "0" else "HTTP/1.1"


def _headers(lines: list[str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon or not _NAME.match(name) or _FORBIDDEN.search(value):
            raise BadRequestError(400, "malformed header")
        if "_" in name:
            continue  # WSGI could not tell it from the one with a dash, which a proxy may have vouched for
        name, value = name.lower(), value.strip(" \t")
        if name not in headers:
            headers[name] = value
        elif name in ("host", "content-length", "transfer-encoding"):
            raise BadRequestError(400, f"{name} given twice")
        else:
            headers[name] += ("; " if name == "cookie" else ",") + value
    return headers


def _length(headers: dict[str, str], version: str) -> int | None:
    coding = headers.get("transfer-encoding")
    length = headers.get("content-length")
    if coding is not None:
        if length is not None or version == "HTTP/1.0":
            raise BadRequestError(400, "two ways of telling the length")
        if coding.lower() != "chunked":
            raise BadRequestError(501, "unknown transfer coding")
        return -1
    if length is None:
        return None
    if not _LENGTH.match(length):
        raise BadRequestError(400, "bad content-length")
    return int(length)


def _keep_alive(headers: dict[str, str], version: str) -> bool:
    wishes = headers.get("connection", "").lower()
    if version == "HTTP/1.0":
        return "keep-alive" in wishes
    return "close" not in wishes
