"""The carriers as a client has them. A line is open from its making until its frames end, and knows not what they say.

WebSocket carries frames and commands; long-poll and SSE carry frames, and commands go over REST.
"""

import http.client
import json
import socket
from collections.abc import Iterator
from typing import Any, Protocol
from urllib.parse import urlencode, urlsplit

import requests
import websocket

from tests.clients.person import PATIENCE, Lost, Refused, call_rest, route

__all__ = ["LINES", "Line"]

Frame = dict[str, Any]


class Line(Protocol):
    """One connection, or one chain of polls. Made open: raises Refused, or Lost."""

    greets: bool  # hello comes whatever the cursor
    close_code: int | None

    def frames(self) -> Iterator[Frame]:
        """Return what the server sends, until the line ends; then nothing of it is left open."""

    def command(self, op: str, number: Any, data: Frame) -> Frame | None:
        """Send a command; return the answer's frame, or None if it comes among the frames. Raises Lost."""

    def cut(self) -> None:
        """Lose the connection without a word."""

    def close(self) -> None:
        """End it as a browser does."""


class WebSocketLine:
    """`/ws`. `receive_bytes`: of the kernel's buffer, for a client that is slow."""

    greets = True

    def __init__(self, url: str, token: str, cursor: str, receive_bytes: int = 0):
        address = url.replace("http", "ws", 1) + "/ws" + (f"?cursor={cursor}" if cursor else "")
        sockopt = ((socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes),) if receive_bytes else ()
        self.close_code: int | None = None
        try:
            self._socket = websocket.create_connection(
                address, header=[f"Authorization: Bearer {token}"], timeout=PATIENCE, sockopt=sockopt
            )
        except websocket.WebSocketBadStatusException as error:
            raise Refused(json.loads(error.resp_body)["error"]) from error
        except (OSError, websocket.WebSocketException) as error:
            raise Lost(str(error)) from error
        self._socket.settimeout(None)  # quiet lines live long; who ends one, shuts it down

    def frames(self) -> Iterator[Frame]:
        """Return the frames, answering pings on the way."""
        try:
            while True:
                opcode, data = self._socket.recv_data()
                if opcode == websocket.ABNF.OPCODE_CLOSE:
                    self.close_code = int.from_bytes(data[:2], "big") or 1005
                    return
                yield json.loads(data)
        except (OSError, websocket.WebSocketException):
            self.close_code = self.close_code or 1006
        finally:
            self._socket.shutdown()

    def command(self, op: str, number: Any, data: Frame) -> None:
        """Send a command; the answer comes among the frames, and none if it has no number."""
        try:
            self._socket.send(json.dumps({"op": op, **({} if number is None else {"id": number}), "data": data}))
        except (OSError, websocket.WebSocketException) as error:
            raise Lost(str(error)) from error

    def cut(self) -> None:
        """Shut the socket down: the reading thread meets the end."""
        shut_down(self._socket.sock)

    def close(self) -> None:
        """Send the close frame; the server's answer ends the frames."""
        try:
            self._socket.send_close()
        except (OSError, websocket.WebSocketException):
            self.cut()


class _RestLine:
    """What long-poll and SSE share: commands over REST, and a GET on a connection of its own that can be cut."""

    def __init__(self, url: str, token: str):
        self._url, self._token = url, token
        self._rest = requests.Session()
        connection = http.client.HTTPSConnection if url.startswith("https:") else http.client.HTTPConnection
        self._get = connection(urlsplit(url).netloc, timeout=PATIENCE * 2)  # longer than a poll is held
        self._sock: socket.socket | None = None  # of the GET; http.client lets go of it before the answer's end
        self._over = False
        self.close_code: int | None = None

    def command(self, op: str, number: Any, data: Frame) -> Frame:
        """Run a verb over REST."""
        if self._over:
            raise Lost("the line is over")
        try:
            return {"re": number, "data": call_rest(self._rest, self._url, self._token, *route(op, data))}
        except Refused as refusal:
            return {"re": number, "error": refusal.error}

    def cut(self) -> None:
        """Shut the socket of the GET down: the reading thread meets the end."""
        self._over = True
        shut_down(self._sock)

    def close(self) -> None:
        """End it; there is nothing to say."""
        self.cut()

    def _ask(self, path: str, **query: Any) -> http.client.HTTPResponse:
        """Begin a GET. Raises Refused or Lost."""
        asked = urlencode({name: value for name, value in query.items() if value != ""})
        try:
            self._get.request("GET", f"/api/v1{path}?{asked}", headers={"Authorization": f"Bearer {self._token}"})
            self._sock = self._get.sock
            if self._over:
                raise Lost("the line was cut while it was made")
            answer = self._get.getresponse()
            if answer.status != 200:
                raise Refused(json.loads(answer.read())["error"])
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Lost(str(error)) from error
        return answer

    def _end(self) -> None:
        self._over = True
        self.close_code = 1006
        self._get.close()
        self._rest.close()


class PollLine(_RestLine):
    """`/api/v1/poll`: a chain of polls, each of which acknowledges the one before. `hold`: seconds a poll may take."""

    def __init__(self, url: str, token: str, cursor: str, hold: int = 25):
        super().__init__(url, token)
        self._hold = hold
        self._cursor = cursor
        self.greets = not cursor

    def frames(self) -> Iterator[Frame]:
        """Poll, and return the events, and behind those of a poll its cursor, as other carriers' `cursor` event."""
        try:
            while not self._over:
                answer = json.loads(self._ask("/poll", cursor=self._cursor, timeout=self._hold).read())
                self._cursor = answer["cursor"]
                yield from answer["events"]
                yield {"event": "cursor", "data": {"cursor": self._cursor}}
        except (OSError, http.client.HTTPException, ValueError, Lost, Refused):
            return
        finally:
            self._end()


class StreamLine(_RestLine):
    """`/api/v1/stream`: server-sent events."""

    greets = True

    def __init__(self, url: str, token: str, cursor: str):
        super().__init__(url, token)
        try:
            self._answer = self._ask("/stream", cursor=cursor)
        except (Lost, Refused):
            self._end()
            raise

    def frames(self) -> Iterator[Frame]:
        """Return the events of the stream's data lines; a line that was cut off is none."""
        try:
            while (line := self._answer.readline()).endswith(b"\n"):
                if line.startswith(b"data: "):
                    yield json.loads(line[6:])
        except (OSError, http.client.HTTPException, ValueError):
            return
        finally:
            self._answer.close()
            self._end()


def shut_down(sock: socket.socket | None) -> None:
    """Shut a socket down that its owner may be closing at this moment."""
    try:
        if sock is not None:
            sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


LINES = {"websocket": WebSocketLine, "poll": PollLine, "stream": StreamLine}
