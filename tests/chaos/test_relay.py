"""A relay: passes everything on, and cuts, slows or silences the lines of one process alone."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.relay import SLOW, Relay, Relays

SECONDS = 10.0  # that anything may take
BLINK = 0.1  # seconds in which what is silent says nothing
OTHER = """import socket, sys
line = socket.socket(socket.AF_UNIX)
line.connect(sys.argv[1])
line.sendall(sys.stdin.buffer.readline())
sys.stdout.buffer.write(line.recv(100))"""


class Echo:
    """A server that says what it is told."""

    def __init__(self, path: Path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(str(path))
        self.socket.listen()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                line = self.socket.accept()[0]
            except OSError:
                return
            threading.Thread(target=self._answer, args=(line,), daemon=True).start()

    def _answer(self, line: socket.socket) -> None:
        with line:
            while data := line.recv(100):
                line.sendall(data)

    def close(self) -> None:
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


@pytest.fixture
def relays() -> Iterator[Relays]:
    made = Relays()
    yield made
    made.close()


@pytest.fixture
def relay(relays: Relays, tmp_path: Path) -> Iterator[Relay]:
    echo = Echo(tmp_path / "echo")
    yield relays.make(tmp_path / "relay" / "socket", tmp_path / "echo")
    echo.close()


@pytest.fixture
def line(relay: Relay) -> Iterator[socket.socket]:
    with connected(relay) as made:
        yield made


def connected(relay: Relay) -> socket.socket:
    made = socket.socket(socket.AF_UNIX)
    made.settimeout(SECONDS)
    made.connect(str(relay.path))
    return made


def said(line: socket.socket, text: bytes) -> bytes:
    line.sendall(text)
    return line.recv(100)


def said_by_another_process(relay: Relay) -> bytes:
    command = [sys.executable, "-c", OTHER, str(relay.path)]
    return subprocess.run(command, input=b"hello\n", capture_output=True, check=True, timeout=SECONDS).stdout


def test_what_is_said_is_passed_on_both_ways(line: socket.socket) -> None:
    assert [said(line, text) for text in (b"one", b"two")] == [b"one", b"two"]


def test_the_lines_of_one_process_are_cut_until_it_is_healed(relays: Relays, relay: Relay, line: socket.socket) -> None:
    assert said(line, b"one") == b"one"
    relays.run(relay.hurt(os.getpid(), "cut"))
    assert line.recv(100) == b""
    with connected(relay) as refused:
        assert refused.recv(100) == b""
    assert said_by_another_process(relay) == b"hello\n"
    relays.run(relay.heal())
    with connected(relay) as again:
        assert said(again, b"again") == b"again"


def test_a_silent_line_keeps_back_what_is_said_and_loses_nothing(
    relays: Relays, relay: Relay, line: socket.socket
) -> None:
    relays.run(relay.hurt(os.getpid(), "silent"))
    line.sendall(b"kept")
    line.settimeout(BLINK)
    with pytest.raises(TimeoutError):
        line.recv(100)
    assert said_by_another_process(relay) == b"hello\n"
    line.settimeout(SECONDS)
    relays.run(relay.heal())
    assert line.recv(100) == b"kept"


def test_a_slow_line_is_late_both_ways(relays: Relays, relay: Relay, line: socket.socket) -> None:
    relays.run(relay.hurt(os.getpid(), "slow"))
    begun = time.monotonic()
    assert said(line, b"late") == b"late"
    assert time.monotonic() - begun >= 2 * SLOW


def test_a_target_that_is_away_ends_the_line(relays: Relays, tmp_path: Path) -> None:
    with connected(relays.make(tmp_path / "socket", tmp_path / "nothing")) as line:
        assert line.recv(100) == b""
