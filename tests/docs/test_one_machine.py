"""The one command of docs/deployment.md, and docs/operations.md for its embedded servers: backup and restore."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.chat.processes import plain_environ
from tests.clients.native import Client
from tests.clients.person import Person
from tests.deployment import ROOT, SECRET, free_port, wait_for

UP_WITHIN = 60.0  # seconds
ENDED_WITHIN = 30.0
LANGUAGE = {"deployment.md": "sh", "operations.md": "sh embedded"}


def blocks(file: str) -> list[str]:
    """Return a document's blocks for one machine, in order."""
    text = (ROOT / "docs" / file).read_text()
    return re.findall(rf"^```{LANGUAGE[file]}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


class Machine:
    """A machine on which somebody types what stands in the documents. `url` is the server's."""

    def __init__(self, folder: Path):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._places = {  # the last of the first: what begins alike has to be replaced first
            ".venv/lib/python3*": str(Path(sys.executable).parents[1] / "lib" / "python3*"),
            ".venv/bin/python": sys.executable,
            "/var/lib/chat": str(folder / "data"),
            "--port 5000": f"--port {self.port}",
            "chat.dump": str(folder / "chat.dump"),
        }
        self._environ = plain_environ(JWT_SECRET=SECRET, JWT_AUTO_CREATE="1")
        self._log = folder / "terminal.log"
        self._server: subprocess.Popen[bytes] | None = None

    def _here(self, script: str) -> str:
        for place, ours in self._places.items():
            script = script.replace(place, ours)
        return script

    def start(self) -> None:
        """Run the one command, and wait until it is ready."""
        (command,) = [line for line in blocks("deployment.md")[0].splitlines() if "app.py" in line]
        with self._log.open("ab") as log:
            script = "exec env " + self._here(command)
            self._server = subprocess.Popen(["bash", "-c", script], cwd=ROOT, env=self._environ, stdout=log, stderr=log)
        wait_for(self._is_whole, UP_WITHIN, f"the server, see {self._log}")

    def _is_whole(self) -> bool:
        try:
            return bool(requests.get(f"{self.url}/readyz", timeout=5).json()["status"] == "ok")
        except requests.RequestException:
            return False

    def stop(self) -> None:
        """End it as systemd would."""
        if self._server is not None:
            self._server.send_signal(signal.SIGTERM)
            assert self._server.wait(ENDED_WITHIN) == 0
            self._server = None

    def type_in(self, script: str) -> None:
        """Run a block."""
        script = self._here(script)
        done = subprocess.run(
            ["bash", "-euc", script], cwd=ROOT, env=self._environ, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def machine() -> Iterator[Machine]:
    folder = Path("/tmp") / f"chat-test-docs-{os.getpid()}"  # PostgreSQL's account has to reach it
    folder.mkdir(mode=0o711)
    made = Machine(folder)
    try:
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder)


def test_the_one_command_is_a_server_whose_backup_can_be_restored(machine: Machine) -> None:
    backup, restore = blocks("operations.md")
    machine.start()
    ann, bob = Person(machine.url), Person(machine.url)
    device = Client(bob)
    conversation = ann.send(bob, "kept")["conversationId"]
    machine.type_in(backup)
    ann.send(bob, "written after the backup")
    device.wait_content("written after the backup")
    before = device.hello["generation"]
    device.close()
    machine.stop()
    machine.type_in(restore)
    machine.start()
    again = Client(bob, cursor=device.cursor, token=device.token)
    assert again.hello["generation"] != before
    assert [entry["content"] for entry in bob.history(conversation)] == ["kept"]
    again.close()
    for person in (ann, bob):
        person.close()
