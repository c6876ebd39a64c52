"""A project that is nothing but `python app.py`: the real launcher, servers, Celery under a few lines of application.

It shows what the launcher does whatever the real application is made of, and starts faster.
"""

import json
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from tests.chat.processes import DEADLINE, ROOT, Process, descendants, left_of, plain_environ, until

APP = """
import os

import psycopg
import redis
from flask import Flask

URL = os.environ.get("DATABASE_URL", "").replace("+psycopg", "")
SHOWN = ("PORT", "HOST", "DATA_DIR", "ENVIRONMENT", "DATABASE_URL", "REDIS_URL", "JWT_SECRET")


def create_app():
    app = Flask("app")

    @app.get("/readyz")
    def readyz():
        with psycopg.connect(URL) as connection:
            starts = connection.execute("SELECT count(*) FROM starts").fetchone()[0]
        heartbeat = redis.Redis.from_url(os.environ["REDIS_URL"]).get("celery:heartbeat")
        environ = {name: os.environ.get(name) for name in SHOWN}
        return {"starts": starts, "heartbeat": heartbeat and heartbeat.decode(), "pid": os.getpid(), "environ": environ}

    @app.cli.group()
    def db():
        pass

    @db.command()
    def upgrade():
        if "BREAK_MIGRATIONS" in os.environ:
            raise LookupError("no such column")
        with psycopg.connect(URL) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS starts (n int)")
            connection.execute("INSERT INTO starts VALUES (1)")

    @app.cli.command()
    def demo():
        print("log in as ann")

    return app


if __name__ == "__main__":
    import chat.launcher.heartbeat
    from chat.launcher.supervisor import main

    chat.launcher.heartbeat.PATIENCE = float(os.environ.get("PATIENCE", "45"))
    main()
"""
WSGI = "from gevent import monkey; monkey.patch_all()\nfrom app import create_app\napp = create_app()\n"


def make_project(folder: Path) -> Path:
    """Make the project in `folder`, which every account can reach."""
    folder.mkdir(mode=0o711)
    folder.chmod(0o711)
    (folder / "app.py").write_text(APP)
    (folder / "wsgi.py").write_text(WSGI)
    for name in ("chat", "tasks", "uploads"):
        (folder / name).symlink_to(ROOT / name)
    return folder


class Running:
    """A `python app.py` of the project, started on a free port."""

    def __init__(self, project: Path, *flags: str, wait: bool = True, **environ: str):
        self.log = project / f"terminal-{len(list(project.iterdir()))}"
        with self.log.open("ab") as terminal:
            self.process = subprocess.Popen(
                [sys.executable, "app.py", *flags],
                cwd=project, env=plain_environ(**environ), stdout=terminal, stderr=terminal,
            )  # fmt: skip
        self.port = 0
        if wait:
            until(lambda: self.process.poll() is not None or self._find_port(), "the address is shown")
            assert self.process.poll() is None, self.said

    @property
    def said(self) -> str:
        return self.log.read_text()

    def _find_port(self) -> int:
        _, shown, rest = self.said.rpartition("Chat is running on http://")
        self.port = int(rest.split()[0].rpartition(":")[2]) if shown else 0
        return self.port

    def state(self) -> dict[str, Any]:
        """What /readyz says; nothing if it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=DEADLINE) as answer:
                return dict(json.load(answer))
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return {}

    def tree(self) -> list[Process]:
        return descendants(self.process.pid)

    def part(self, words: str) -> int:
        """Process id of the child whose command has these words; 0 if it is not there."""
        return next((one.pid for one in self.tree() if words in one.command and one.parent == self.process.pid), 0)

    def stop(self, sig: signal.Signals = signal.SIGTERM) -> int:
        """Tell it to end; return its exit code, once nothing is left of it."""
        tree = self.tree()
        self.process.send_signal(sig)
        code = self.process.wait(DEADLINE)
        assert left_of(tree) == []
        return code

    def kill(self) -> list[Process]:
        """End it as a power cut would; return what had been running."""
        tree = self.tree()
        self.process.kill()
        self.process.wait()
        return tree


def remove_project(folder: Path) -> None:
    for link in folder.glob("data/*/postgresql"):
        if link.is_symlink():
            shutil.rmtree(link.resolve())
    shutil.rmtree(folder)
