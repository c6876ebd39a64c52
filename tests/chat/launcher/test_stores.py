"""The stores alone: a command finds both, with PostgreSQL's programs; nobody else has them meanwhile."""

import subprocess
import sys
from pathlib import Path

from chat.launcher.datadir import DataDir
from tests.chat.processes import ROOT, plain_environ

LOOK = """
psql -At -d "${DATABASE_URL/+psycopg/}" -c "SELECT current_user || ' of ' || current_database()"
python -c "import os, redis; print(redis.Redis.from_url(os.environ['REDIS_URL']).ping(), len(os.environ['JWT_SECRET']))"
exit 7
"""


def beside(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "chat.launcher.stores", *arguments]
    return subprocess.run(command, cwd=ROOT, env=plain_environ(), capture_output=True, text=True, check=False)


def test_a_command_finds_both_servers_and_their_programs_and_its_end_is_told(tmp_path: Path) -> None:
    done = beside(str(tmp_path), "bash", "-uc", LOOK)
    assert (done.stdout, done.returncode) == ("chat of chat\nTrue 64\n", 7), done.stderr


def test_beside_a_running_server_nothing_is_started(tmp_path: Path) -> None:
    owner = DataDir(str(tmp_path), 1)
    owner.lock()
    done = beside(str(tmp_path), "true")
    owner.unlock()
    assert done.returncode == 1
    assert "has the data directory" in done.stderr


def test_a_folder_that_is_not_there_is_a_slip_of_the_pen(tmp_path: Path) -> None:
    done = beside(str(tmp_path / "nowhere"), "true")
    assert (done.stderr, done.returncode) == (f"There is no data directory {tmp_path}/nowhere.\n", 1)
    assert beside(str(tmp_path)).returncode == 1
