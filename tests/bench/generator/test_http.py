import socket
import threading
from collections.abc import Iterator

import pytest

from bench.generator.crowd import LostError
from bench.generator.http import Asker, HttpCrowd


class Script:
    """A server that sends these pieces, each as soon as something came, and hangs up."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.pieces: list[bytes] = []
        self.thread = threading.Thread(target=self._serve, daemon=True)

    def _serve(self) -> None:
        peer, _ = self.listener.accept()
        with peer:
            for piece in self.pieces:
                peer.recv(65_536)
                peer.sendall(piece)
            if self.pieces[-1]:
                peer.recv(65_536)

    def start(self, *pieces: bytes) -> tuple[HttpCrowd, Asker]:
        self.pieces = list(pieces)
        self.thread.start()
        crowd, asker = HttpCrowd(self.port), Asker("u", "t")
        crowd.connect(asker)
        return crowd, asker


@pytest.fixture
def script() -> Iterator[Script]:
    made = Script()
    yield made
    made.listener.close()


def answers(crowd: HttpCrowd) -> list[bytes]:
    return [body for _, body, _ in crowd.receive(5.0)]


def test_an_answer_in_pieces_is_one_answer(script: Script) -> None:
    crowd, asker = script.start(b"HTTP/1.1 200 OK\r\ncontent-len", b"gth: 5\r\nx: y\r\n\r\nab", b"cde")
    for expected in ([], [], [b"abcde"]):
        crowd.ask(asker, b"GET / HTTP/1.1\r\n\r\n")
        assert answers(crowd) == expected
    asker.sock.close()


@pytest.mark.parametrize("piece", [b"HTTP/1.1 503 no\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b""])
def test_what_is_no_good_answer_ends_the_row(script: Script, piece: bytes) -> None:
    crowd, asker = script.start(piece)
    crowd.ask(asker, b"GET / HTTP/1.1\r\n\r\n")
    with pytest.raises(LostError):
        answers(crowd)
    asker.sock.close()


def test_who_was_not_let_in_yet_may_be_told_to_come_again(script: Script) -> None:
    crowd, asker = script.start(b"HTTP/1.1 503 no\r\nContent-Length: 2\r\n\r\n{}")
    crowd._patient = True
    crowd.ask(asker, b"GET / HTTP/1.1\r\n\r\n")
    assert answers(crowd) == [b""]
    asker.sock.close()
