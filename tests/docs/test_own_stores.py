"""docs/deployment.md, "PostgreSQL and Redis of your own": its SQL makes a database that will do; its lines."""

import os
import re
import subprocess
import sys

import psycopg
import pytest

from app import create_app
from chat.config import SETTINGS
from chat.postgres import Statement
from tests.deployment import ROOT, Deployment
from tests.docs.proxy import DEPLOY

CHAPTER = (ROOT / "docs" / "deployment.md").read_text().split("\n## PostgreSQL and Redis of your own\n")[1]
UNITS = ("chat-web.service", "chat-worker.service", "chat-beat.service")


def block(language: str) -> str:
    """Return the chapter's block of a language."""
    found = re.search(rf"^```{language}\n(.*?)^```$", CHAPTER, re.MULTILINE | re.DOTALL)
    assert found
    return found[1]


def test_a_role_that_owns_a_database_is_enough(deployment: Deployment) -> None:
    """The role of these tests' server logs in by the kernel's word, so the superuser takes on the role of the lines."""
    name = f"chat{os.getpid()}"
    url = deployment.postgres.url.replace("//chat@/chat?", f"//postgres@/{name}?") + f"&options=-crole%3D{name}"
    command = [sys.executable, "-m", "flask", "--app", "app", "db", "upgrade"]
    with psycopg.connect(deployment.postgres.admin_url, autocommit=True) as admin:
        try:
            for statement in re.sub(r"\bchat\b", name, block("sql")).split(";\n"):
                admin.execute(statement)
            subprocess.run(command, cwd=ROOT, env={**deployment.environ, "DATABASE_URL": url}, check=True)
            owner = admin.execute("SELECT rolsuper FROM pg_roles WHERE rolname = %s", [name]).fetchone()
            with psycopg.connect(url.replace("+psycopg", "")) as made:
                tables = made.execute(
                    "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'"
                ).fetchall()
        finally:
            admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            admin.execute(f"DROP ROLE IF EXISTS {name}")
    assert (owner, tables) == ((False,), [(name,)])


def test_the_lines_start_what_the_units_start() -> None:
    """Which tests/docs/test_units.py tries."""
    started = re.findall(
        r"^ExecStart(?:Pre)?=/opt/chat/(.+)$", "".join((DEPLOY / unit).read_text() for unit in UNITS), re.M
    )
    lines = [re.sub(r"\s+#.*", "", line) for line in block("sh").splitlines()]
    assert lines == [line.replace(" --loglevel=WARNING", "") for line in started]


def test_a_web_process_has_as_many_connections_as_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    statements: list[Statement] = []
    monkeypatch.setattr(Statement, "__init__", lambda self, *_: statements.append(self))
    app = create_app({"DATABASE_URL": "postgresql+psycopg://", "REDIS_URL": "redis://", "JWT_SECRET": "x" * 32})
    each = len(statements) + app.config["DATABASE_POOL"]
    assert f"holds up to {each} connections" in CHAPTER
    assert f"# {each} for each web process" in (DEPLOY / "postgresql.conf").read_text()
    reason = next(setting.reason for setting in SETTINGS if setting.name == "DATABASE_POOL")
    assert f"besides the {len(statements)} " in reason
