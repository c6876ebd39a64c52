"""A private RabbitMQ for tests: one node on free ports of the loopback, its files in a folder of the test's own.

Debian's package brings the program; its service is not touched. The program behind `rabbitmq-server` is started
itself, for Debian's wrapper insists on an account of its own.
"""

import os
import signal
import socket
import subprocess
from pathlib import Path

from tests.deployment import free_port, wait_for

__all__ = ["PROGRAM", "Rabbit"]

PROGRAM = "/usr/lib/rabbitmq/bin/rabbitmq-server"
READY_WITHIN = 60.0  # seconds: an Erlang machine on a machine with other things to do
ENDED_WITHIN = 20.0
CONFIG = """
listeners.tcp.1 = 127.0.0.1:{port}
loopback_users.guest = true
log.file = false
log.console = true
log.console.level = warning
vm_memory_high_watermark.absolute = 256MB
disk_free_limit.absolute = 10MB
"""


class Rabbit:
    """One node; `url` is its address for Celery. A context manager."""

    def __init__(self, folder: Path):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port, self._distribution, self._epmd = free_port(), free_port(), free_port()
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}//"
        self.process: subprocess.Popen[bytes] | None = None
        (folder / "rabbitmq.conf").write_text(CONFIG.format(port=self.port))
        (folder / "plugins").write_text("[].\n")

    def start(self) -> "Rabbit":
        """Start the node, and wait until it takes connections."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [PROGRAM], env=self._environ(), cwd=self.folder, stdout=log, stderr=log, start_new_session=True
            )
        wait_for(self._answers, READY_WITHIN, f"RabbitMQ, see {self.folder}/log")
        return self

    def kill(self) -> None:
        """End it without asking."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it in order, and what it left running: the mapper of Erlang's ports is a process of its own."""
        self._end(signal.SIGTERM)
        wait_for(self._end_mapper, ENDED_WITHIN, "Erlang's port mapper to end")

    def type_in(self, lines: str) -> None:
        """Run lines of somebody who operates it."""
        environ = {**self._environ(), "PATH": f"/usr/lib/rabbitmq/bin:{self._environ()['PATH']}"}
        subprocess.run(["bash", "-euc", lines], env=environ, check=True, capture_output=True)

    def __enter__(self) -> "Rabbit":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _end(self, sig: int) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, sig)
            self.process.wait(ENDED_WITHIN)
            self.process = None

    def _end_mapper(self) -> bool:
        """Tell whether it is gone; it refuses to go while it believes that its node lives."""
        for command in ("-kill", "-names"):
            done = subprocess.run(["epmd", command], env=self._environ(), capture_output=True, check=False)
        return done.returncode != 0

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "log").read_text()
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as probe:
                probe.sendall(b"AMQP\x00\x00\x09\x01")
                return bool(probe.recv(8))
        except OSError:
            return False

    def _environ(self) -> dict[str, str]:
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.folder),  # where Erlang keeps the cookie
            "LC_ALL": "C.UTF-8",
            "RABBITMQ_NODENAME": f"chat-{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(self._distribution),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
            "RABBITMQ_LOG_BASE": str(self.folder),
            "RABBITMQ_PID_FILE": str(self.folder / "pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +S 1",
            "ERL_EPMD_PORT": str(self._epmd),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }
