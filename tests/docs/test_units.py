"""The units and the environment file of docs/deploy/: what systemd says of them, and whether what they start works."""

import configparser
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from chat.config import SETTINGS
from tests.deployment import ROOT, Deployment, free_port, wait_for
from tests.docs.proxy import DEPLOY

UNITS = sorted([*DEPLOY.glob("*.service"), *DEPLOY.glob("*.socket")])
OF_THE_WEB_SERVER = {"HOST", "PORT", "WORKERS"}  # settings of the process, not of the application
STARTED_WITHIN = 60.0  # seconds until web server, worker and beat are at work; beat comes every ten
PLACES = {"/opt/chat/.venv/bin": str(Path(sys.executable).parent), "/opt/chat": str(ROOT)}


def here(text: str) -> str:
    """Return a unit's text with the places of this machine."""
    for place, ours in PLACES.items():
        text = text.replace(place, ours)
    return text


def unit(name: str) -> configparser.ConfigParser:
    """Read a unit."""
    parser = configparser.ConfigParser(interpolation=None, strict=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(here((DEPLOY / name).read_text()))
    return parser


def environment() -> dict[str, str]:
    """Read the environment file."""
    lines = [line for line in (DEPLOY / "chat.env").read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


@pytest.fixture
def running() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes that end with the test."""
    made: list[subprocess.Popen[bytes]] = []
    yield made
    for process in made:
        process.terminate()
    for process in made:
        process.wait(20)


@pytest.mark.units
def test_systemd_has_nothing_to_say_against_them(tmp_path: Path) -> None:
    copies = []
    for file in UNITS:
        copies.append(tmp_path / file.name)
        copies[-1].write_text(here(file.read_text()))
    command = ["systemd-analyze", "verify", "--man=no", *map(str, copies)]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (checked.stdout + checked.stderr, checked.returncode) == ("", 0)


def test_the_environment_file_names_settings_that_there_are() -> None:
    assert environment().keys() <= {setting.name for setting in SETTINGS} | OF_THE_WEB_SERVER


def test_what_the_units_start_is_a_whole_server(
    deployment: Deployment, tmp_path: Path, running: list[subprocess.Popen[bytes]]
) -> None:
    own = {name: deployment.environ[name] for name in ("DATABASE_URL", "REDIS_URL", "JWT_SECRET")}
    port = str(free_port())
    environ = {**os.environ, **environment(), **own, "PORT": port, "DATA_DIR": str(tmp_path)}
    before = unit("chat-web.service")["Service"]["ExecStartPre"]
    subprocess.run(shlex.split(before), cwd=ROOT, env=environ, check=True, capture_output=True)
    for name in ("chat-web.service", "chat-worker.service", "chat-beat.service"):
        service = unit(name)["Service"]
        assert service["WorkingDirectory"] == str(ROOT)
        with (tmp_path / f"{name}.log").open("wb") as log:
            running.append(
                subprocess.Popen(shlex.split(service["ExecStart"]), cwd=ROOT, env=environ, stdout=log, stderr=log)
            )

    def is_whole() -> bool:
        try:
            return bool(requests.get(f"http://127.0.0.1:{port}/readyz", timeout=5).json()["status"] == "ok")
        except requests.RequestException:
            return False

    wait_for(is_whole, STARTED_WITHIN, f"the server, see {tmp_path}")


@pytest.mark.units
def test_where_systemd_listens_a_client_waits_for_the_web_server(
    deployment: Deployment, running: list[subprocess.Popen[bytes]]
) -> None:
    listen = unit("chat-web.socket")["Socket"]["ListenStream"].replace("5000", str(free_port()))
    program = shutil.which("systemd-socket-activate") or "systemd-socket-activate"
    names = [part for name in deployment.environ for part in ("-E", name)]
    start = shlex.split(unit("chat-web.service")["Service"]["ExecStart"])
    process = subprocess.Popen(
        [program, "-l", listen, *names, *start], cwd=ROOT, env=deployment.environ, stderr=subprocess.PIPE
    )
    running.append(process)
    assert process.stderr is not None
    assert b"Listening" in process.stderr.readline()
    assert requests.get(f"http://{listen}/healthz", timeout=30).json() == {"status": "ok"}
    process.send_signal(signal.SIGTERM)
    process.stderr.close()
    assert process.wait(20) == 0
