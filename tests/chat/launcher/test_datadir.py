"""The data directory: one owner at a time, a secret that stays."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from chat.launcher.datadir import DataDir, DataDirError
from tests.chat.processes import ROOT


def test_by_default_it_lies_in_the_project_by_port() -> None:
    assert DataDir("", 5123).path == ROOT / "data" / "5123"


def test_it_has_one_owner_at_a_time(tmp_path: Path) -> None:
    first = DataDir(str(tmp_path / "data"), 1)
    first.lock()
    with pytest.raises(DataDirError, match=rf"process {os.getpid()}\) has the data directory"):
        DataDir(str(tmp_path / "data"), 2).lock()
    first.unlock()
    again = DataDir(str(tmp_path / "data"), 2)
    again.lock()
    again.unlock()


def test_a_killed_owner_leaves_no_lock(tmp_path: Path) -> None:
    program = f"""
import time
from chat.launcher.datadir import DataDir
data = DataDir({str(tmp_path)!r}, 1)
data.lock()
print("locked", flush=True)
time.sleep(600)
"""
    owner = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert owner.stdout
    with owner.stdout:
        assert owner.stdout.readline() == "locked\n"
    with pytest.raises(DataDirError):
        DataDir(str(tmp_path), 1).lock()
    owner.kill()
    owner.wait()
    data = DataDir(str(tmp_path), 1)
    data.lock()
    data.unlock()


def test_a_place_that_cannot_be_a_directory_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataDirError, match="cannot be used"):
        DataDir(str(tmp_path / "file" / "data"), 1).lock()


def test_a_secret_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    data = DataDir(str(tmp_path), 1)
    (tmp_path / "jwt-secret.part").write_text("of a start that was cut off")
    secret = data.secret("jwt-secret")
    assert len(secret) == 64
    assert DataDir(str(tmp_path), 1).secret("jwt-secret") == secret
    assert (tmp_path / "jwt-secret").stat().st_mode & 0o777 == 0o600
    assert data.secret("other") != secret


def test_a_shell_reads_the_settings_that_are_left_there_and_nobody_else(tmp_path: Path) -> None:
    data = DataDir(str(tmp_path), 1)
    settings = {"DATABASE_URL": "postgresql+psycopg://chat@/chat?host=/a b&port=5432", "JWT_SECRET": "it's $HOME; `id`"}
    data.tell({"JWT_SECRET": "of the start before"})
    data.tell(settings)
    assert (tmp_path / "environment").stat().st_mode & 0o777 == 0o600
    script = f"set -a; . {tmp_path}/environment; env -0"
    found = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True, env={}).stdout
    assert set(found.strip("\0").split("\0")) >= {f"{name}={value}" for name, value in settings.items()}
