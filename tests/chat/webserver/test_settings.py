"""gunicorn's settings, as gunicorn reads them from the environment."""

import os
import runpy
from typing import Any

import pytest

from tests.chat.processes import ROOT


def settings(monkeypatch: pytest.MonkeyPatch, **environ: str) -> dict[str, Any]:
    for name in ("HOST", "PORT", "WORKERS", "CHAT_LISTEN_FD"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setitem(os.environ, name, value)
    return runpy.run_path(str(ROOT / "chat/webserver/settings.py"))


def test_by_default_one_worker_listens_on_this_machine_only(monkeypatch: pytest.MonkeyPatch) -> None:
    found = settings(monkeypatch)
    assert (found["bind"], found["workers"]) == ("127.0.0.1:5000", 1)


@pytest.mark.parametrize(
    ("environ", "bind"),
    [
        ({"HOST": "0.0.0.0", "PORT": "80"}, "0.0.0.0:80"),
        ({"HOST": "::1"}, "[::1]:5000"),
        ({"CHAT_LISTEN_FD": "7", "PORT": "80"}, "fd://7"),
    ],
)
def test_the_address_comes_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], bind: str
) -> None:
    assert settings(monkeypatch, **environ)["bind"] == bind


def test_the_number_of_workers_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings(monkeypatch, WORKERS="3")["workers"] == 3
