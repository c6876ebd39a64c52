"""docs/operations.md: its tables are those of the server, its commands work, and a restore is what it says."""

import os
import re
import subprocess
import sys
from pathlib import Path

import requests

from app import create_app
from chat.errors import CODES
from tests.clients.native import Client
from tests.clients.person import Person
from tests.deployment import ROOT, Deployment

DOCUMENT = ROOT / "docs" / "operations.md"
OF_EVERY_SERVER = {"db upgrade"}  # of an extension's own


def blocks(language: str) -> list[str]:
    """Return the document's blocks of a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)


def names_in(chapter: str) -> set[str]:
    """Return what stands first in the rows of a chapter's table."""
    text = DOCUMENT.read_text().split(f"\n## {chapter}\n")[1].split("\n## ")[0]
    return set(re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE))


def run(deployment: Deployment, script: str) -> None:
    """Run a block of the document as somebody would who has just read it."""
    places = [str(Path(sys.executable).parent), str(deployment.postgres.binaries), os.environ["PATH"]]
    environ = {**deployment.environ, "PATH": os.pathsep.join(places)}
    script = script.replace("chat.dump", str(deployment.folder / "chat.dump"))
    done = subprocess.run(["bash", "-euc", script], cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_restored_database_is_told_to_clients_who_then_hold_what_it_holds(own_deployment: Deployment) -> None:
    backup, restore = blocks("sh")
    own_deployment.start()
    ann, bob = Person(own_deployment.url), Person(own_deployment.url)
    device = Client(bob)
    conversation = ann.send(bob, "kept")["conversationId"]
    run(own_deployment, backup)
    ann.send(bob, "written after the backup")
    device.wait_content("written after the backup")
    before = device.hello["generation"]
    device.close()
    own_deployment.web.stop()
    run(own_deployment, restore)
    own_deployment.web.start()
    ann.send(bob, "written after the restore")
    again = Client(bob, cursor=device.cursor, token=device.token)
    assert again.hello["generation"] != before
    again.wait_content("written after the restore")
    assert [entry["content"] for entry in bob.history(conversation)] == ["kept", "written after the restore"]
    again.close()
    ann.close()
    bob.close()


def test_the_table_of_metrics_names_all_of_them(deployment: Deployment) -> None:
    text = requests.get(deployment.url + "/metrics", timeout=10).text
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    assert names_in("Metrics") == set(kinds)


def test_alerts_speak_of_metrics_and_parts_that_there_are(deployment: Deployment) -> None:
    (rules,) = blocks("yaml")
    named = {re.sub(r"_(bucket|count)$", "", name) for name in re.findall(r"\bchat_\w+", rules)}
    assert named <= names_in("Metrics")
    text = requests.get(deployment.url + "/metrics", timeout=10).text
    parts = set(re.findall(r'^chat_part_up\{part="(\w+)"\}', text, re.MULTILINE))
    assert set(re.findall(r'part="(\w+)"', rules)) <= parts
    (row,) = re.findall(r"^\| `chat_part_up` \|.*", DOCUMENT.read_text(), re.MULTILINE)
    assert all(part in row for part in parts)
    codes = {code for found in re.findall(r'code=~"([^"]+)"', rules) for code in found.split("|")}
    assert codes <= CODES.keys()


def test_the_example_of_readiness_has_the_fields_of_the_answer(deployment: Deployment) -> None:
    (example,) = blocks("json")
    answer = requests.get(deployment.url + "/readyz", timeout=10).json()
    assert re.findall(r'"(\w+)": "', example) == list(answer)


def test_the_table_of_commands_names_all_of_them() -> None:
    app = create_app({"DATABASE_URL": "postgresql+psycopg://", "REDIS_URL": "redis://", "JWT_SECRET": "x" * 32})
    ours = set(app.cli.commands) - {"db"}
    assert {name.split()[0] for name in names_in("Commands") - OF_EVERY_SERVER} == ours
