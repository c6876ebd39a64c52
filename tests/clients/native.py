"""A native client: keeps a cursor, comes back, obeys `resync`, on any carrier and from one to another."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from tests.checker import Witness
from tests.clients.lines import LINES, Line
from tests.clients.memory import Memory
from tests.clients.person import PATIENCE, Lost, Person, Refused

__all__ = ["PATIENCE", "Client", "Lost", "Person", "Refused"]

PAUSE = 0.05  # seconds between two attempts to come back


class Client(Memory):
    """One device. `carrier`: websocket, poll or stream. `auto`: comes back by itself with its cursor until `close`.

    `urls`: servers, the next of which is tried when one does not answer. `reading` is an Event: while it is clear
    nothing is read. Further options go to the carrier.
    """

    def __init__(
        self,
        person: Person,
        carrier: str = "websocket",
        *,
        url: str = "",
        urls: Sequence[str] = (),
        cursor: str = "",
        auto: bool = False,
        token: str = "",
        **line: Any,
    ):
        super().__init__()
        self.person = person
        self.carrier, self._options = carrier, line
        self._urls = deque(urls or [url or person.url])
        self.token = token or person.make_token()
        self.cursor = cursor
        self.auto = auto
        self.hello: dict[str, Any] = {}
        self.bye: dict[str, Any] = {}
        self.acked: list[dict[str, Any]] = []
        self.close_code: int | None = None
        self.close_codes: list[int | None] = []
        self._refreshing = threading.Lock()
        self.reading = threading.Event()
        self.reading.set()
        self._replies: dict[Any, Any] = {}
        self._asked: dict[Any, tuple[str, Line]] = {}
        self._number = 0
        self._closed = threading.Event()
        self._news = threading.Condition()
        self._line: Line | None = None
        self._thread: threading.Thread | None = None
        self.connect()

    def connect(self) -> None:
        """Open a line and read it in a thread, once the one before is over. Raises Refused or Lost.

        A server that does not listen, or says after how many seconds to come back, is tried again.
        """
        self._wait(lambda: self._line is None, PATIENCE, "the end of the line before")
        line = self._open_in_time()
        self._thread = threading.Thread(target=self._run, args=(line,), daemon=True)
        self._thread.start()
        if line.greets:
            # Whoever comes back by themselves is greeted at another attempt.
            self._wait(lambda: self.hello or (not self.auto and self.close_code is not None), PATIENCE, "hello")

    @property
    def url(self) -> str:
        """The server that this device is at, or tries next."""
        return self._urls[0]

    @property
    def left(self) -> bool:
        """Whether it was closed for good."""
        return self._closed.is_set()

    @property
    def online(self) -> bool:
        """Whether there is a line."""
        return self._line is not None

    def move(self, carrier: str = "", url: str = "") -> None:
        """Go on with another carrier or another server, from where this one was: only the cursor is taken along."""
        self.carrier = carrier or self.carrier
        if url:
            self._urls.appendleft(url)
        before, lives = self._line, len(self.streams)
        if before is not None:
            before.close()
        if self.auto:
            self._wait(lambda: len(self.streams) > lives, PATIENCE, "the next line")
        else:
            self.connect()

    def post(self, op: str, number: Any = None, /, **data: Any) -> Any:
        """Send a command and return its number; over a WebSocket without waiting. Raises Lost."""
        self._number += 1
        number = self._number if number is None else number
        line = self._line
        if line is None:
            raise Lost("there is no line")
        self._asked[number] = (op, line)
        answer = line.command(op, number, data)
        if answer is not None:
            self._take(answer)
        return number

    def pour(self, op: str, /, **data: Any) -> None:
        """Send a command whose answer is not wanted, as fast as the connection takes it. Raises Lost."""
        line = self._line
        if line is None:
            raise Lost("there is no line")
        line.command(op, None, data)

    def reply(self, number: Any, seconds: float = PATIENCE) -> Any:
        """Wait for the answer to a command and return its data. Raises Refused, or Lost when the line ended before."""
        _, line = self._asked[number]
        answer = self._wait(
            lambda: self._replies.get(number) or (self._line is not line and Lost), seconds, f"the answer to {number}"
        )
        if answer is Lost:
            raise Lost(f"no answer to {number}")
        if "error" in answer:
            raise Refused(answer["error"])
        return answer["data"]

    def ask(self, op: str, /, **data: Any) -> Any:
        """Send a command and return its answer. Raises Refused or Lost."""
        return self.reply(self.post(op, **data))

    def send(self, to: Person | str, content: str, **more: Any) -> Any:
        """Send a message to a person or a conversation, and return it once it is acked. Raises Refused or Lost."""
        place = {"toUser": to.id} if isinstance(to, Person) else {"conversationId": to}
        return self.ask("message.send", content=content, **place, **more)

    def wait(self, name: str, test: Any = lambda data: True, seconds: float = PATIENCE) -> dict[str, Any]:
        """Wait for an event of this name that passes the test, and return its data."""
        found: dict[str, Any] = self._wait(
            lambda: next((data for data in self.events(name) if test(data)), None), seconds, f"event {name}"
        )
        return found

    def wait_content(self, content: str, seconds: float = PATIENCE) -> None:
        """Wait until this client has a message of this text, however it came."""
        self._wait(
            lambda: any(entry["content"] == content for entry in list(self.entries.values())),
            seconds,
            f"message {content!r}",
        )

    def wait_seq(self, conversation: str, seq: int, seconds: float = PATIENCE) -> None:
        """Wait until this client has this entry."""
        self._wait(lambda: (conversation, seq) in self.entries, seconds, f"{conversation} {seq}")

    def witness(self, returned: bool = True) -> Witness:
        """Return what this device can testify. `returned`: it is there and has to have everything."""
        return Witness(
            f"{self.person.id} on {self.carrier}",
            self.person.id,
            [list(stream) for stream in self.streams],
            dict(self.entries),
            list(self.acked),
            returned,
        )

    def cut(self) -> None:
        """Lose the connection without a word."""
        if self._line is not None:
            self._line.cut()

    def leave(self) -> None:
        """Begin to close as a browser does."""
        self._closed.set()
        self.reading.set()
        line = self._line
        if line is not None:
            line.close()

    def close(self) -> None:
        """Close as a browser does, and wait until nothing is left."""
        self.leave()
        thread = self._thread
        if thread is not None:
            thread.join(2.0)
            if thread.is_alive():
                self.cut()
                thread.join(PATIENCE)

    def refresh(self) -> None:
        """Ask for everything that is lacking. Raises Refused or Lost."""
        with self._refreshing:
            self.load(lambda op, **data: self.person.ask_as(self.url, self.token, op, data))

    def _open(self) -> Line:
        self.hello, self.close_code = {}, None
        line: Line = LINES[self.carrier](self.url, self.token, self.cursor, **self._options)
        self._line = line
        self.streams.append([])
        return line

    def _open_in_time(self) -> Line:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return self._open()
            except (Lost, Refused) as failure:
                pause = PAUSE if isinstance(failure, Lost) else failure.error.get("retryAfter")
                if pause is None or time.monotonic() + pause > deadline:
                    raise
            self._closed.wait(pause)

    def _run(self, line: Line | None) -> None:
        """Read a line to its end, and the next, and so on."""
        while line is not None:
            came = False
            for frame in line.frames():
                came = True
                self._take(frame)
                self.reading.wait()
            if not came:
                self._urls.rotate(-1)
            with self._news:
                self._line, self.close_code = None, line.close_code
                self.close_codes.append(line.close_code)
                self._news.notify_all()
            line = self._come_back() if self.auto else None

    def _come_back(self) -> Line | None:
        while not self._closed.wait(PAUSE):
            try:
                line = self._open()
            except (Lost, Refused):
                self._urls.rotate(-1)
                continue
            if not self._closed.is_set():
                return line
            line.cut()
            for _ in line.frames():
                continue
        return None

    def _take(self, frame: dict[str, Any]) -> None:
        if "re" in frame:
            self._take_answer(frame)
        else:
            self._take_event(frame)
        with self._news:
            self._news.notify_all()

    def _take_answer(self, frame: dict[str, Any]) -> None:
        number = frame["re"]
        if number is None:  # a refusal of what no answer was wanted to
            return
        if self._asked[number][0] == "message.send" and "data" in frame:
            self.acked.append(frame["data"])
            self.keep([frame["data"]])
        self._replies[number] = frame

    def _take_event(self, frame: dict[str, Any]) -> None:
        name, data = frame["event"], frame["data"]
        self.bring(frame)
        if name == "resync":
            self._resync()
        elif name == "hello":
            self.hello = data
        elif name == "bye":
            self.bye = data
        if name in ("hello", "cursor", "bye"):
            self.cursor = data.get("cursor", self.cursor)
        self.seen.append(frame)

    def _resync(self) -> None:
        """Ask for everything before anything further is read: a cursor behind it stands for having done so."""
        while not self._closed.wait(PAUSE):
            try:
                self.refresh()
            except (Lost, Refused):
                continue
            return

    def _wait(self, condition: Callable[[], Any], seconds: float, what: str) -> Any:
        """Return the condition's first true value, tried whenever something came. Fails when it is not in time."""
        deadline = time.monotonic() + seconds
        with self._news:
            while not (value := condition()):
                left = deadline - time.monotonic()
                assert left > 0, f"{self.person.id} on {self.carrier} waited {seconds} s for {what}"
                self._news.wait(min(left, 0.5))
        return value
