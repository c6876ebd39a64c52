"""The web server as a process: a real gunicorn with our settings and our worker class."""

import os
import signal
import socket
import time
from pathlib import Path

from chat.webserver.handler import LAST_SECONDS
from tests.chat.processes import DEADLINE, gone, until
from tests.chat.webserver.probe import Gunicorn, read_all, read_answer


def test_the_worker_is_patched_and_nagle_is_off(tmp_path: Path) -> None:
    gunicorn = Gunicorn(tmp_path)
    numbers = gunicorn.numbers()
    gunicorn.stop()
    assert numbers["patched"] is True
    assert numbers["nodelay"] == 1


def test_beyond_its_descriptors_the_server_says_so(tmp_path: Path) -> None:
    gunicorn = Gunicorn(tmp_path, limit=400)
    clients: list[socket.socket] = []
    try:
        answers = []
        for _ in range(400):
            client = gunicorn.connect()
            clients.append(client)
            client.sendall(b"GET /detach HTTP/1.1\r\n\r\n")
            answers.append(client.recv(1000)[:12])
            if answers[-1] == b"HTTP/1.1 503":
                break
        assert answers[-1] == b"HTTP/1.1 503"
        assert 144 <= len(answers) < 400
        assert set(answers[:-1]) == {b"early:\n"}
        for client in clients:
            client.close()
        until(lambda: gunicorn.get("/hello").endswith(b"hello"), "there is room again")
        assert "Traceback" not in gunicorn.log.read_text()
    finally:
        for client in clients:
            client.close()
        gunicorn.stop()


def test_a_stop_drains_the_node_finishes_answers_and_does_not_wait_for_idle_connections(tmp_path: Path) -> None:
    gunicorn = Gunicorn(tmp_path)
    with gunicorn.connect() as idle, gunicorn.connect() as busy:
        idle.sendall(b"GET /hello HTTP/1.1\r\n\r\n")
        read_answer(idle)
        busy.sendall(b"GET /slow HTTP/1.1\r\n\r\n")
        until(lambda: gunicorn.numbers()["handlers"] == 3, "the slow request has begun")
        start = time.monotonic()
        gunicorn.process.terminate()
        answer = read_all(busy)
        assert answer.endswith(b"slow but whole")
        assert b"Connection: close" in answer
        assert read_all(idle) == b""
    assert gunicorn.process.wait(DEADLINE) == 0
    assert time.monotonic() - start < 4
    assert gunicorn.mark.read_text().startswith("drained 4.0 ")


def test_a_request_on_an_idle_connection_is_answered_when_the_server_has_just_begun_to_stop(tmp_path: Path) -> None:
    """A proxy uses a connection that it kept, and has not heard yet that the server leaves."""
    gunicorn = Gunicorn(tmp_path)
    with gunicorn.connect() as kept:
        kept.sendall(b"GET /hello HTTP/1.1\r\n\r\n")
        read_answer(kept)
        gunicorn.process.terminate()
        time.sleep(LAST_SECONDS / 2)  # a moment of that half a second
        kept.sendall(b"GET /hello HTTP/1.1\r\n\r\n")
        answer = read_all(kept)
    assert answer.endswith(b"hello")
    assert b"Connection: close" in answer
    assert gunicorn.process.wait(DEADLINE) == 0


def test_a_connection_that_a_poll_gives_back_when_the_listener_is_closed_is_served_once_more(tmp_path: Path) -> None:
    gunicorn = Gunicorn(tmp_path)
    with gunicorn.connect() as lent, gunicorn.connect() as busy:
        lent.sendall(b"GET /lend HTTP/1.1\r\n\r\n")
        assert lent.recv(4) == b"lent"
        busy.sendall(b"GET /slow HTTP/1.1\r\n\r\n")  # the worker does not end at once
        until(lambda: gunicorn.numbers()["handlers"] == 2, "the slow request has begun")
        gunicorn.process.terminate()
        lent.sendall(b"GET /hello HTTP/1.1\r\n\r\n")
        answer = read_all(lent)
    assert answer.endswith(b"hello")
    assert b"Connection: close" in answer
    assert gunicorn.process.wait(DEADLINE) == 0
    assert "Traceback" not in gunicorn.log.read_text()


def test_who_waits_to_be_accepted_when_the_listener_closes_is_served(tmp_path: Path) -> None:
    gunicorn = Gunicorn(tmp_path)
    worker = gunicorn.numbers()["pid"]
    os.kill(worker, signal.SIGSTOP)
    clients = [gunicorn.connect() for _ in range(20)]
    for client in clients:
        client.sendall(b"GET /hello HTTP/1.1\r\n\r\n")
    gunicorn.process.terminate()
    os.kill(worker, signal.SIGCONT)
    answers = [read_all(client) for client in clients]
    for client in clients:
        client.close()
    assert all(answer.endswith(b"hello") for answer in answers)
    assert gunicorn.process.wait(DEADLINE) == 0


def test_a_killed_worker_is_replaced(tmp_path: Path) -> None:
    gunicorn = Gunicorn(tmp_path)
    first = gunicorn.numbers()["pid"]
    os.kill(first, signal.SIGKILL)
    second = until(lambda: (pid := gunicorn.numbers()["pid"]) != first and pid, "another worker serves")
    assert gone(first)
    assert not gone(second)
    gunicorn.stop()


def test_workers_end_with_a_killed_master(tmp_path: Path) -> None:
    gunicorn = Gunicorn(tmp_path)
    worker = gunicorn.numbers()["pid"]
    gunicorn.process.kill()
    gunicorn.process.wait()
    until(lambda: gone(worker), "the worker has ended")
