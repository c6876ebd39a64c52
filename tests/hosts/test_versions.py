"""Two versions of the server side by side, as in a rolling restart: other events, other functions of the database."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.crowd import CARRIERS, HEALED, Crowd
from tests.deployment import ROOT, Deployment, Web

PARTS = ("app.py", "wsgi.py", "chat", "tasks", "uploads", "migrations", "docs")
CHANGES = {  # what another version may have changed: the format of events, a function that takes something else
    "chat/frames.py": [
        ("FORMAT = 1\n", "FORMAT = 2\n"),
        ("                FORMAT,\n", '                FORMAT,\n                "new",\n'),
        ("form, *fields", "form, _, *fields"),
    ],
    "chat/log_publish.lua": [("'1 %s", "'2 %s")],
    "chat/writer.py": [("chat_write_", "chat_write_other_")],
    "chat/writer.sql": [("chat_write_", "chat_write_other_")],
}


@pytest.fixture
def both(broken: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Addresses of a server of this version and of one of another, upgraded while this one runs."""
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
        elif (ROOT / part).exists():
            shutil.copy(ROOT / part, tmp_path / part)
    for file, pairs in CHANGES.items():
        text = (tmp_path / file).read_text()
        for old, new in pairs:
            assert old in text, f"{file} has no {old!r}"
            text = text.replace(old, new)
        (tmp_path / file).write_text(text)
    monkeypatch.setattr("tests.deployment.ROOT", tmp_path)
    broken.flask("db", "upgrade")
    other = Web(broken.environ, tmp_path / "other.log")
    try:
        other.start()
        yield [broken.web.url, other.url]
    finally:
        other.stop()


def test_clients_of_two_versions_get_everything_of_each_other_and_may_change_over(
    both: list[str], broken: Deployment
) -> None:
    with Crowd(both, broken.postgres.url) as crowd:
        ann, bob = crowd.person(0), crowd.person(1)
        group = ann.group(bob)
        devices = [
            crowd.device(person, carrier, web) for web in (0, 1) for person in (ann, bob) for carrier in CARRIERS
        ]
        for turn in range(3):
            last = [person.send(group, f"{turn} of {person.id}") for person in (ann, bob)][-1]
            for device in devices:
                device.wait_seq(group, last["seq"], HEALED)
        for device in devices:  # with a cursor of the one to the other, whose log it cannot read in part
            device.cut()
        last = [person.send(group, f"while away, {person.id}") for person in (ann, bob)][-1]
        for place, device in enumerate(devices):
            device.move(url=both[(place // len(CARRIERS)) % 2])
            device.wait_seq(group, last["seq"], HEALED)
        broken.flask("db", "upgrade")  # of the other version once more, and nothing of this one's is gone
        last = ann.send(group, "the old one writes on")
        for device in devices:
            device.wait_seq(group, last["seq"], HEALED)
        crowd.check()
