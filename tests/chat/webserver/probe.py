"""A real gunicorn with our settings and worker class, which runs probe_app, and a client that sees every byte."""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.chat.processes import DEADLINE, ROOT, until


class Gunicorn:
    """A gunicorn running probe_app on a port of its own."""

    def __init__(self, folder: Path, *, limit: int = 0, **environ: str):
        self.log, self.mark = folder / "log", folder / "mark"
        with socket.create_server(("127.0.0.1", 0)) as listener, self.log.open("wb") as log:
            self.port = listener.getsockname()[1]
            gunicorn = f"{sys.executable} -m gunicorn -c chat/webserver/settings.py tests.chat.webserver.probe_app:app"
            self.process = subprocess.Popen(
                ["/bin/sh", "-c", f"ulimit -n {limit}; exec {gunicorn}" if limit else f"exec {gunicorn}"],
                env={**os.environ, "CHAT_LISTEN_FD": str(listener.fileno()), "PROBE_MARK": str(self.mark), **environ},
                cwd=ROOT, pass_fds=[listener.fileno()], stdout=log, stderr=log,
            )  # fmt: skip
        self.wait_ready()

    def wait_ready(self) -> None:
        until(lambda: self.process.poll() is not None or self.get("/hello").endswith(b"hello"), "gunicorn serves")
        assert self.process.poll() is None, self.log.read_text()

    def connect(self) -> socket.socket:
        client = socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return client

    def exchange(self, request: bytes) -> bytes:
        """Send, and read until the server closes."""
        with self.connect() as client:
            client.sendall(request)
            return read_all(client)

    def get(self, path: str, *headers: str) -> bytes:
        lines = [f"GET {path} HTTP/1.1", "Host: x", "Connection: close", *headers, "", ""]
        return self.exchange("\r\n".join(lines).encode())

    def numbers(self) -> dict[str, Any]:
        return dict(json.loads(self.get("/numbers").partition(b"\r\n\r\n")[2]))

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(DEADLINE)


def read_all(client: socket.socket) -> bytes:
    data = bytearray()
    try:
        while piece := client.recv(1 << 20):
            data += piece
    except ConnectionResetError:
        data += b"<reset>"
    return bytes(data)


def read_answer(client: socket.socket) -> bytes:
    """Read one answer that tells its length."""
    data = bytearray()
    while b"\r\n\r\n" not in data:
        data += client.recv(1)
    length = re.search(rb"Content-Length: (\d+)", data)
    assert length
    end = len(data) + int(length[1])
    while len(data) < end:
        data += client.recv(end - len(data))
    return bytes(data)
