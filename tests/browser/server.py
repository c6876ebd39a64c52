"""A whole server in a process of its own, as `python app.py` starts it: can be stopped, killed and started again."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import requests

ROOT = Path(__file__).resolve().parents[2]
START_WITHIN = 60  # seconds; the first start makes a database


class Server:
    """One server on a port and a data directory that stay the same from start to start."""

    def __init__(self, data: Path):
        self._data = data
        self._port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._log = data.parent / f"{data.name}.log"
        self.url = f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start and wait until it is ready."""
        command = [sys.executable, "app.py", "--port", str(self._port), "--data-dir", str(self._data)]
        environment = {**os.environ, "RATE_PER_SECOND": "1000"}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + START_WITHIN
        while not self._ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"The server did not start; see {self._log}")
            time.sleep(0.1)

    def stop(self) -> None:
        """End it as an operator does."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a power cut does, but for its children, which end by themselves."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)
            self._process.wait(30)
            self._process = None

    def _ready(self) -> bool:
        try:
            return requests.get(f"{self.url}/readyz", timeout=2).ok
        except requests.ConnectionError:
            return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
