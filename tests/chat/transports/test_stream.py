"""A stream over real sockets, without a server: what the kernel does not take waits, bounded, and frames stay whole."""

import socket
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest

from chat.errors import CloseReason
from chat.frames import CONVERSATION, USER, Event
from chat.hub import Hub
from chat.session import Session, State
from chat.transports.stream import Stream
from tests.clients.wire import PATIENCE

SIZE = 1_000
END = b"<END>"


class Plain(Stream):
    """A stream whose frames are the events' data."""

    __slots__ = ()
    kind = "plain"
    provable = True

    def received(self, data: bytes) -> None:
        self.node.heard.append(data)
        if b"!" in data:
            raise RuntimeError("ours")

    def encode(self, event: Event) -> bytes:
        return event.raw

    def reply(self, number: Any, data: bytes) -> None:
        self._owed += len(data)
        self._put(data)

    def last_words(self, reason: CloseReason) -> bytes:
        return END


class Node:
    """What a stream needs of a node. `ended` is why sessions ended."""

    def __init__(self, **config: int):
        self.hub = Hub(print, print)
        self.config = {"OUTBOX_BYTES": 50 * SIZE, "OUTBOX_TOTAL_BYTES": 1 << 30} | config
        self.heard: list[bytes] = []
        self.ended: list[tuple[Session, CloseReason]] = []
        self.far: list[socket.socket] = []

    def end(self, session: Session, reason: CloseReason) -> None:
        self.ended.append((session, reason))
        session.state = State.CLOSED
        farewell = None if reason is CloseReason.LOST else Event("bye", b"<BYE>", USER, 0, logged=False)
        session.carrier.close(reason, farewell)

    def connect(self) -> tuple[Plain, socket.socket]:
        """Return a stream and its client's end, whose buffers are small."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            far = socket.socket()
            far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
            far.connect(listener.getsockname())
            near, _ = listener.accept()
        near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2_048)
        near.setblocking(False)
        far.setblocking(False)
        self.far.append(far)
        stream = Plain(self, near)
        stream.session = Session(f"s{len(self.far)}", stream, 0.0)
        stream.session.state = State.LIVE
        stream.start(b"")
        return stream, far


@pytest.fixture
def make() -> Iterator[Callable[..., Node]]:
    made: list[Node] = []

    def node(**config: int) -> Node:
        made.append(Node(**config))
        return made[-1]

    yield node
    for one in made:
        for far in one.far:
            far.close()


def message(number: int, size: int = SIZE, *, logged: bool = True) -> Event:
    raw = f"<{number:06}>".encode().ljust(size, b".")
    return Event("message", raw, CONVERSATION, 1, change=number if logged else 0, logged=logged)


def push(stream: Plain, *events: Event) -> None:
    for event in events:
        stream.event(event)
        stream.node.hub.flush()


def drain(far: socket.socket, until: Callable[[bytes], bool]) -> bytes:
    """Read as a client does until the condition holds or the stream ends."""
    data = b""
    with gevent.Timeout(PATIENCE):
        while not until(data):
            gevent.sleep(0.001)
            try:
                piece = far.recv(65_536)
            except BlockingIOError:
                continue
            if not piece:
                break
            data += piece
    return data


def wait(condition: Callable[[], Any]) -> None:
    with gevent.Timeout(PATIENCE):
        while not condition():
            gevent.sleep(0.002)


def fill(stream: Plain, *, start: int = 1) -> int:
    """Send until the kernel takes no more; return the number of the last event."""
    number = start
    while not stream.outbox_bytes:
        push(stream, message(number))
        number += 1
    return number - 1


def test_what_the_kernel_takes_goes_out_at_once_and_nothing_is_kept(make: Any) -> None:
    stream, far = make().connect()
    push(stream, message(1))
    assert far.recv(2 * SIZE) == message(1).raw
    assert (stream.outbox_bytes, stream.node.hub.backlog, stream.node.hub.slow) == (0, 0, set())


def test_what_the_kernel_does_not_take_waits_and_arrives_whole_and_in_order(make: Any) -> None:
    stream, far = make().connect()
    last = fill(stream)
    push(stream, *(message(number) for number in range(last + 1, last + 20)))
    assert stream.node.hub.backlog == stream.outbox_bytes > 15 * SIZE
    assert stream.node.hub.slow == {stream}
    wanted = b"".join(message(number).raw for number in range(1, last + 20))
    assert drain(far, lambda data: len(data) >= len(wanted)) == wanted
    wait(lambda: not stream.outbox_bytes)
    assert (stream.node.hub.backlog, stream.node.hub.slow) == (0, set())
    push(stream, message(7))
    assert drain(far, lambda data: len(data) >= SIZE) == message(7).raw


def test_a_frame_larger_than_every_buffer_arrives_whole(make: Any) -> None:
    stream, far = make(OUTBOX_BYTES=3_000_000).connect()
    large = message(1, 2_000_000)
    push(stream, large, message(2))
    assert drain(far, lambda data: len(data) >= 2_000_000 + SIZE) == large.raw + message(2).raw


def test_who_reads_nothing_is_cut_off_between_frames_with_a_farewell(make: Any) -> None:
    stream, far = make().connect()
    number = fill(stream)
    while not stream.node.ended:
        number += 1
        push(stream, message(number))
        assert stream.outbox_bytes <= 51 * SIZE
    assert stream.node.ended == [(stream.session, CloseReason.SLOW)]
    assert stream.outbox_bytes < SIZE + 20
    data = drain(far, lambda data: data.endswith(END))
    frames, farewell = data.split(b"<BYE>")
    assert farewell == END
    assert frames == b"".join(message(place).raw for place in range(1, len(frames) // SIZE + 1))


def test_typing_and_presence_are_dropped_first_and_no_durable_event(make: Any) -> None:
    stream, far = make().connect()
    last = fill(stream)
    count = 0
    while stream.outbox_bytes < 50 * SIZE // 4:
        last += 1
        push(stream, message(last))
    before = stream.outbox_bytes
    push(stream, *(message(count, logged=False) for _ in range(20)))
    assert stream.outbox_bytes == before
    push(stream, message(last + 1))
    assert stream.outbox_bytes == before + SIZE
    assert drain(far, lambda data: f"<{last + 1:06}>".encode() in data)


def test_the_longest_goes_first_when_all_together_are_too_long(make: Any) -> None:
    node = make(OUTBOX_TOTAL_BYTES=40 * SIZE)
    (long, _), (short, _) = node.connect(), node.connect()
    push(long, *(message(number) for number in range(fill(long) + 1, 40)))
    number = fill(short)
    while not node.ended:
        number += 1
        push(short, message(number))
    assert [session for session, _ in node.ended] == [long.session]
    assert short.session.state is State.LIVE


def test_what_was_asked_for_is_no_sign_of_a_slow_client_but_nothing_more_is_read(make: Any) -> None:
    stream, far = make().connect()
    fill(stream)
    stream.reply(1, b"r" * 60 * SIZE)
    stream.flush()
    assert stream.node.ended == []
    far.send(b"more")
    gevent.sleep(0.02)
    assert stream.node.heard == []
    drain(far, lambda data: data.count(b"r") >= 60 * SIZE)
    wait(lambda: stream.node.heard == [b"more"])


def test_a_paused_stream_is_not_read_until_it_is_resumed(make: Any) -> None:
    stream, far = make().connect()
    stream.pause()
    far.send(b"hello")
    gevent.sleep(0.02)
    assert stream.node.heard == []
    stream.resume()
    wait(lambda: stream.node.heard == [b"hello"])


def test_what_came_with_the_request_is_taken_first(make: Any) -> None:
    node = make()
    stream, far = node.connect()
    stream.pause()
    stream.start(b"early")
    far.send(b"late")
    wait(lambda: b"".join(node.heard) == b"earlylate")


def test_a_client_that_is_gone_ends_its_session_and_leaves_nothing(make: Any) -> None:
    stream, far = make().connect()
    fill(stream)
    far.close()
    wait(lambda: stream.node.ended)
    assert stream.node.ended == [(stream.session, CloseReason.LOST)]
    assert stream._sock.fileno() == -1
    assert (stream.node.hub.backlog, stream.node.hub.slow) == (0, set())
    push(stream, message(1))  # what still comes for it harms nobody
    stream.end()
    stream.end()


def test_a_fault_of_ours_ends_the_session_and_not_the_reading_of_others(make: Any) -> None:
    node = make()
    (stream, far), (_other, other_far) = node.connect(), node.connect()
    far.send(b"!")
    wait(lambda: node.ended == [(stream.session, CloseReason.INTERNAL)])
    assert drain(far, lambda data: data.endswith(END)) == b"<BYE>" + END
    other_far.send(b"fine")
    wait(lambda: b"fine" in node.heard)


def test_whoever_does_not_take_the_farewell_is_not_waited_for(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chat.transports.stream.FAREWELL_SECONDS", 0.1)
    stream, _ = make().connect()
    fill(stream)
    stream.node.end(stream.session, CloseReason.RESTART)
    assert stream._sock.fileno() >= 0
    wait(lambda: stream._sock.fileno() == -1)
    assert stream.node.hub.backlog == 0
