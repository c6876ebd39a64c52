"""Real workers and beats, to be killed by their process id."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tasks.queue import connect
from tests.chat.processes import DEADLINE, ROOT, Process, descendants

CELERY = [sys.executable, "-m", "celery", "-q"]


class Crew:
    """Workers and beats with these settings in a folder, where their log lies; and somebody who sends tasks."""

    def __init__(self, folder: Path, environ: Mapping[str, str]):
        self.folder, self.environ = folder, dict(environ)
        settings = {name: environ.get(name, "") for name in ("CELERY_BROKER_URL", "REDIS_URL", "REDIS_PREFIX")}
        self.sender = connect(settings, set_as_current=False)
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self, *flags: str) -> subprocess.Popen[bytes]:
        return self.run("tasks.worker", *flags)

    def run(self, app: str, *flags: str) -> subprocess.Popen[bytes]:
        command = [*CELERY, "-A", app, *flags]
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(command, cwd=ROOT, env=self.environ, stdout=log, stderr=log)
        self.started.append(process)
        return process

    def worker(self, processes: int = 2) -> subprocess.Popen[bytes]:
        return self.start("worker", f"--concurrency={processes}", "--loglevel=WARNING", "-I", "tests.tasks.duties")

    def beat(self, *flags: str) -> subprocess.Popen[bytes]:
        """Start a beat. A second one needs a schedule file of its own, as it has on a host of its own."""
        return self.start("beat", "--pidfile=", "--loglevel=WARNING", *flags)

    def two_hasty_beats(self) -> None:
        """Start two that send every duty twice a second, as if they were on two hosts."""
        for name in ("one", "two"):
            flags = ("--pidfile=", "--loglevel=WARNING", f"--schedule={self.folder / name}")
            self.run("tests.tasks.hasty", "beat", *flags)

    def send(self, duty: str, *arguments: object) -> None:
        self.sender.send_task(duty, arguments)

    @staticmethod
    def pool(worker: subprocess.Popen[bytes]) -> list[Process]:
        """The processes that do the tasks of a worker."""
        return [process for process in descendants(worker.pid) if process.pid != worker.pid]

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """End a worker or a beat, with its pool, at once."""
        for member in descendants(process.pid):
            os.kill(member.pid, signal.SIGKILL)
        process.wait(DEADLINE)

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def end(self) -> None:
        for process in self.started:
            process.kill()
            process.wait()
        self.started.clear()
        self.sender.close()
