"""One HTTP connection on gevent.pywsgi, mended: strict heads, deadlines, one send per answer, and it can be taken away.

pywsgi's own handler sends head and body apart, never says `Connection: close`, waits for ever for a slow client, prints
tracebacks for clients that went away, and falls back to HTTP on a stream that a WebSocket has left. What of it stays:
`start_response` and the loop over the application's result.
"""

import _socket
import socket
import sys
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import gevent
from gevent import pywsgi

from chat.webserver.body import Body
from chat.webserver.head import HEAD_BYTES, LINE_BYTES, BadRequestError, RequestHead, parse_head

if TYPE_CHECKING:
    from chat.webserver.worker import Server

__all__ = ["LAST_SECONDS", "Handler"]

FIRST_SECONDS = 20.0  # until the first byte of a connection: browsers open some in advance
IDLE_SECONDS = 75.0  # between two requests: above the 60 s for which common proxies keep a connection to us
LAST_SECONDS = 0.5  # the same while the server stops: what is on its way still gets its answer
HEAD_SECONDS = 10.0  # for a whole head, from its first byte on, however it trickles
STALL_SECONDS = 30.0  # in which a body or an answer must move by a byte at least
DISCARD_BYTES = 65_536  # of a body that nobody read: more is cheaper to leave unread, closing the connection
JOIN_BYTES = 262_144  # of a body that is copied behind its head; copying more costs more than a second send
LINGER_SECONDS = 2.0  # so that an answer sent before the whole request was read arrives: closing at once would reset it


class Handler(pywsgi.WSGIHandler):  # type: ignore[misc]
    """Serves the requests of one connection, one after another.

    The environ has `chat.detach`, a function that takes the connection away from here (see `detach`), and for a
    transport that does so by itself `chat.socket` (gevent's), `chat.rfile` (the buffered reader) and the key
    `chat.detached`, which it must set first. Who took a connection and has no more use for it gives it back with
    `environ["chat.server"].resume(socket, environ["chat.peer"])`. `chat.head` is the request's head as it came.
    """

    server: "Server"
    wsgi_input: Body
    head: RequestHead
    status: bytes
    response_headers: list[tuple[bytes, bytes]]
    client_gone = False

    def handle(self) -> None:
        """Serve until either side wants no more. The server closes the socket afterwards, unless it was taken away."""
        self._wait = FIRST_SECONDS
        try:
            while self.handle_one_request():
                self._wait = IDLE_SECONDS
            if not self._detached:
                self._linger()
                self.rfile.close()
        finally:
            self.__dict__.clear()  # handler, environ and reader know each other: do not wait for the collector

    @property
    def _detached(self) -> bool:
        return bool(self.environ) and "chat.detached" in self.environ

    def detach(self) -> tuple[_socket.socket, bytes]:
        """Take the connection out of the server: return its plain non-blocking socket and what was read already.

        From then on nothing is written or closed here: the caller owns the descriptor. The view's answer is dropped.
        """
        self.environ["chat.detached"] = True
        self.socket.settimeout(0)
        try:
            early = self.rfile.peek()
        except OSError:
            early = b""  # a reset: the caller's first read meets it too
        self.rfile.close()
        family, kind, proto = self.socket.family, self.socket.type, self.socket.proto
        raw = _socket.socket(family, kind, proto, fileno=self.socket.detach())
        raw.setblocking(False)
        return raw, early

    # A request's way in.

    def handle_one_request(self) -> bool:
        """Serve one request; tell whether another may follow."""
        try:
            data = self._read_head()
            if not data:
                return False
            self.head = parse_head(data)
        except BadRequestError as refused:
            self._refuse(refused.status, str(refused))
            return False
        self.command, self.path, self.request_version = self.head.method, self.head.target, self.head.version
        self.close_connection = not self.head.keep_alive
        self.environ = self.get_environ()
        self.environ["chat.head"] = data
        self.application = self.server.application
        self.handle_one_response()
        return not (self._detached or self.close_connection)

    def _read_head(self) -> bytes:
        """Return a whole head, or nothing if the client sent none in time."""
        buffered = self._await_bytes()
        end = buffered.find(b"\r\n\r\n", 2)  # an empty line before the request is borne, as RFC 9112 asks
        if end < 0 and buffered:
            with gevent.Timeout(HEAD_SECONDS, BadRequestError(408, "the request did not come in time")):
                data = self._read_slow_head()
        else:
            data = self.rfile.read(end + 4) if end >= 0 else b""
        return data.removeprefix(b"\r\n")

    def _await_bytes(self) -> bytes:
        self.socket.settimeout(LAST_SECONDS if self.server.draining else self._wait)
        self.server.idle.add(self)
        try:
            return self.rfile.peek()  # type: ignore[no-any-return]
        except OSError:
            return b""
        finally:
            self.server.idle.discard(self)

    def _read_slow_head(self) -> bytes:
        data = bytearray()
        while not data.endswith(b"\r\n\r\n") or len(data) == 4:
            try:
                line = self.rfile.readline(HEAD_BYTES - len(data))
            except OSError:
                return b""
            data += line
            if not line.endswith(b"\r\n"):
                if len(data) < HEAD_BYTES:  # the end of the stream, or a line that ends in a bare LF
                    raise BadRequestError(400, "not a whole request")
                raise BadRequestError(414 if data.find(b"\n", 2) < 0 else 431, "the head is too large")
            if len(data) > LINE_BYTES and data.find(b"\n", 2) < 0:
                raise BadRequestError(414, "request line too long")
        return bytes(data)

    def get_environ(self) -> dict[str, Any]:
        """Return the WSGI environ of the request at hand."""
        environ: dict[str, Any] = self.server.get_environ()
        path, _, query = self.path.partition("?")
        environ["REQUEST_METHOD"] = self.command
        environ["SCRIPT_NAME"] = ""
        environ["PATH_INFO"] = pywsgi.unquote_latin1(path) if "%" in path else path
        environ["QUERY_STRING"] = query
        environ["RAW_URI"] = environ["REQUEST_URI"] = self.path
        environ["SERVER_PROTOCOL"] = self.request_version
        if isinstance(self.client_address, tuple):
            environ["REMOTE_ADDR"] = self.client_address[0]
            environ["REMOTE_PORT"] = str(self.client_address[1])
        for name, value in self.head.headers.items():
            environ["HTTP_" + name.replace("-", "_").upper()] = value
        self._add_body(environ)
        # Permessage-deflate costs 100 kB a connection, and libraries accept it wherever it is offered.
        environ.pop("HTTP_SEC_WEBSOCKET_EXTENSIONS", None)
        environ["chat.socket"], environ["chat.rfile"], environ["chat.detach"] = self.socket, self.rfile, self.detach
        environ["chat.server"], environ["chat.peer"] = self.server, self.client_address
        return environ

    def _add_body(self, environ: dict[str, Any]) -> None:
        for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            value = environ.pop("HTTP_" + name, None)
            if value is not None:
                environ[name] = value
        self.wsgi_input = environ["wsgi.input"] = Body(self.rfile, self.socket, self.head, self.lose_client)
        # Where the length is known, Werkzeug counts for itself and turns a lost client into its own 400.
        environ["wsgi.input_terminated"] = self.head.length == -1

    # An answer's way out.

    def handle_one_response(self) -> None:
        """Run the application and send what it answers. A client that goes away is nobody's error."""
        self.status, self.result = b"", None
        self.headers_sent = self.response_use_chunked = self.connection_upgraded = self.client_gone = False
        self.response_length = 0
        self.socket.settimeout(STALL_SECONDS)
        try:
            self.run_application()
            if not (self._detached or self.close_connection):
                self.wsgi_input._discard()
        except (Exception, gevent.Timeout):  # noqa: BLE001 (the last place that can tell of it)
            if not self.client_gone:
                self.handle_error(*sys.exc_info())

    def lose_client(self) -> None:
        """Note that the client is gone or makes no sense: nothing it does is logged, and the connection ends."""
        self.client_gone = self.close_connection = True

    def handle_error(self, kind: Any, error: Any, trace: Any) -> None:
        """Log a fault of ours with its traceback, and answer 500 if nothing was answered yet."""
        self._log_error(kind, error, trace)
        self.close_connection = True
        if not self.headers_sent and not self._detached:
            self._refuse(500, "internal error")

    def log_request(self) -> None:
        """Write no access log: a proxy has one, and here it would cost more than many a request."""

    def finalize_headers(self) -> None:
        """Complete the headers, and say so if this is the last answer of the connection."""
        if self.server.draining or self.wsgi_input.left > DISCARD_BYTES:
            self.close_connection = True
        super().finalize_headers()
        if self.command == "HEAD":
            self.response_use_chunked = False
        elif self.request_version == "HTTP/1.0" and not self._length_told():
            self.close_connection = True
        if self.close_connection:
            kept = [header for header in self.response_headers if header[0].lower() != b"connection"]
            self.response_headers = [*kept, (b"Connection", b"close")]

    def _length_told(self) -> bool:
        return self.code in (204, 304) or any(name.lower() == b"content-length" for name, _ in self.response_headers)

    def write(self, data: bytes) -> None:
        """Send a piece of the answer, the head before the first one."""
        if not self._detached:
            super().write(b"" if self.command == "HEAD" else data)

    def _write_with_headers(self, data: bytes) -> None:
        self.headers_sent = True
        self.finalize_headers()
        lines = [b"HTTP/1.1 ", self.status, b"\r\n"]
        for name, value in self.response_headers:
            lines += (name, b": ", value, b"\r\n")
        lines.append(b"\r\n")
        if data and len(data) <= JOIN_BYTES:
            lines += (b"%x\r\n" % len(data), data, b"\r\n") if self.response_use_chunked else (data,)
            data = b""
        self._sendall(b"".join(lines))
        self._write(data)

    def _sendall(self, data: bytes) -> None:
        if self._detached:
            return
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self.socket.send(rest) :]  # waits up to STALL_SECONDS for room, each time anew
        except OSError:
            self.lose_client()
            raise
        self.response_length += len(data)

    def _refuse(self, status: int, reason: str) -> None:
        """Answer outside the application, in the error shape of all doors, and end the connection."""
        self.close_connection = True
        code = {414: "too_large", 431: "too_large", 500: "internal"}.get(status, "invalid")
        body = f'{{"error":{{"code":"{code}","message":"{reason}"}}}}'
        head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: application/json\r\n"
        try:
            self._sendall(f"{head}Connection: close\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        except OSError:
            return

    def _linger(self) -> None:
        """Read on for a moment after our last word, if the client may still be sending."""
        if self.client_gone:
            return
        try:
            self.socket.shutdown(socket.SHUT_WR)
            with gevent.Timeout(LINGER_SECONDS, TimeoutError()):
                while self.socket.recv(65_536):
                    pass
        except OSError:
            return
