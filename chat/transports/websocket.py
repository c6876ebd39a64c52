"""The native WebSocket. flask-sock declares the route; after the handshake the socket is taken out of the web server.

What is left of a connection then is a slotted object, a descriptor and a watcher: no greenlet, no request, no
standing writer. simple-websocket is not used: it cuts frames, takes permessage-deflate and costs a greenlet and a
descriptor more.
"""

import time
from typing import Any

import flask_sock
from flask import Flask, current_app, request

from chat.errors import ChatError, CloseReason
from chat.frames import Event
from chat.origins import allowed, patterns_of
from chat.protocols import native
from chat.session import Session
from chat.transports.framing import CLOSE, PING, PONG, TEXT, FrameError, FrameReader, accept_key, close_frame, frame
from chat.transports.stream import Stream

__all__ = ["WebSocket", "mount"]

SUBPROTOCOL = "chat.v1"
VERSION = "13"
SWITCHING = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
CLEAN = (b"", (1000).to_bytes(2, "big"))  # how a client says that it leaves; 1001 is a page that is perhaps reloaded


class WebSocket(Stream):
    """A client on `/ws`."""

    __slots__ = ("_pings", "_reader")

    kind = "websocket"
    provable = True

    def __init__(self, node: Any, sock: Any):
        super().__init__(node, sock)
        self._reader: FrameReader | None = FrameReader(node.config["FRAME_BYTES"])
        self._pings = 0

    def received(self, data: bytes) -> None:
        """Take frames of the client."""
        if self._reader is None:
            return  # nothing can be made of what follows a broken frame
        broken = None
        try:
            messages = self._reader.feed(data)
        except FrameError as error:
            messages, broken = error.before, error.reason
        for opcode, payload in messages:
            if opcode == TEXT:
                self.node.received(self.session, payload)
            else:
                self._control(opcode, payload)
        if broken is not None:
            self._reader = None
            self.node.end(self.session, broken)
            self.say_no_more()

    def _control(self, opcode: int, payload: bytes) -> None:
        if self.closing:  # behind our close frame nothing more is said
            if opcode == CLOSE:
                self.end()
        elif opcode == PING:
            if not self.node.dispatch.allow(self.session):
                self._put(frame(payload, PONG))
        elif opcode == PONG:
            if payload == b"%d" % self._pings:  # that to an earlier ping proves less than was handed over since
                self.node.proved(self.session)
        elif opcode == CLOSE:
            self._put(frame(payload[:2], CLOSE))
            self.flush()
            self.closing = True  # nothing may follow a close frame, no farewell and no second one
            left = payload[:2] in CLEAN
            self.node.end(self.session, CloseReason.LEFT if left else CloseReason.LOST)
            self.end()

    def encode(self, event: Event) -> bytes:
        """Return an event's frame."""
        return frame(native.encode_event(event))

    def reply(self, number: Any, data: bytes) -> None:
        """Take the answer to a command."""
        answer = frame(native.encode_reply(number, data))
        self._owed += len(answer)
        self._put(answer)

    def failure(self, number: Any, error: ChatError) -> None:
        """Take the refusal of a command."""
        self._put(frame(native.encode_failure(number, error)))

    def ping(self) -> None:
        """Ask for a sign of life, which also proves that all before it was taken."""
        self._pings += 1
        self._put(frame(b"%d" % self._pings, PING))

    def last_words(self, reason: CloseReason) -> bytes:
        """Return the close frame."""
        return close_frame(reason.number, reason.code)


class Upgrade:
    """Stands in for simple-websocket's Server in flask-sock: shakes hands, takes the socket away, and that is all."""

    mode = "gevent"

    def __init__(self, environ: dict[str, Any], **_: Any):
        self.environ = environ

    def detach(self) -> tuple[Any, bytes, bytes]:
        """Take the socket; return it, what the client sent behind its request, and what answers the handshake."""
        sock, early = self.environ["chat.detach"]()
        offered = [name.strip() for name in self.environ.get("HTTP_SEC_WEBSOCKET_PROTOCOL", "").split(",")]
        chosen = f"Sec-WebSocket-Protocol: {SUBPROTOCOL}\r\n" if SUBPROTOCOL in offered else ""
        key = accept_key(self.environ["HTTP_SEC_WEBSOCKET_KEY"])
        head = f"{SWITCHING}Sec-WebSocket-Accept: {key}\r\n{chosen}\r\n"
        return sock, early, head.encode()

    def close(self, *_: Any) -> None:
        """flask-sock calls this when the view is over; the connection lives on."""


def mount(app: Flask) -> None:
    """Add `/ws` to the application. flask-sock looks `Server` up in its module whenever a route of its is called."""
    flask_sock.Server = Upgrade
    sock = flask_sock.Sock()
    patterns = patterns_of(app.config)

    @app.before_request
    def guard() -> Any:
        if request.path == "/ws":
            _check(patterns)

    @sock.route("/ws")  # type: ignore[untyped-decorator]
    def ws(upgrade: Upgrade) -> None:
        node = current_app.extensions["chat.node"]
        admitted = node.admit(request.headers, request.cookies, request.args)
        address = request.remote_addr or ""
        raw, early, answer = upgrade.detach()
        carrier = WebSocket(node, raw)
        carrier.session = Session(node.session_id(), carrier, time.monotonic())
        carrier.greet(answer)
        if admitted is None:
            carrier.flush()  # else it goes out with `hello`, a moment later
        node.open(carrier.session, admitted, request.args.get("cursor", ""), address)
        carrier.start(early)

    sock.init_app(app)


def _check(patterns: tuple[str, ...]) -> None:
    """Refuse, as plain HTTP, what cannot become a WebSocket. Raises ChatError."""
    environ = request.environ
    if environ.get("HTTP_UPGRADE", "").lower() != "websocket":
        raise ChatError("invalid", "WebSockets begin here, by an Upgrade header. A proxy may have taken it away.")
    if environ.get("HTTP_SEC_WEBSOCKET_VERSION") != VERSION or len(environ.get("HTTP_SEC_WEBSOCKET_KEY", "")) != 24:
        raise ChatError("invalid", "This is no WebSocket handshake of version 13.")
    if not allowed(environ.get("HTTP_ORIGIN"), environ.get("HTTP_HOST"), patterns):
        raise ChatError("bad_origin")
    if "chat.detach" not in environ:
        raise ChatError("internal", "WebSockets need the project's own web server worker.")
