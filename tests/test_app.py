import subprocess
import sys

import pytest

from app import create_app
from chat.config import ConfigError
from tests.deployment import ROOT, SECRET

GIVEN = {
    "DATABASE_URL": "postgresql+psycopg://nobody@/nothing?host=/nowhere",
    "REDIS_URL": "unix:///nowhere",
    "JWT_SECRET": SECRET,
}


def test_making_an_application_connects_to_nothing_and_finds_every_room():
    rules = {rule.rule for rule in create_app(GIVEN).url_map.iter_rules()}
    assert {"/", "/ws", "/healthz", "/api/v1/poll", "/api/v1/stream", "/api/v1/conversations", "/openapi.json"} <= rules


def test_two_applications_of_one_process_have_a_node_each():
    first, second = create_app(GIVEN), create_app(GIVEN)
    assert first.extensions["chat.node"] is not second.extensions["chat.node"]


@pytest.mark.parametrize("missing", GIVEN)
def test_what_has_no_usable_default_is_asked_for_by_name(missing, monkeypatch):
    monkeypatch.delenv(missing, raising=False)
    with pytest.raises(ConfigError, match=missing):
        create_app({name: value for name, value in GIVEN.items() if name != missing})


def test_the_launcher_needs_nothing_of_the_application():
    code = "import sys, app; sys.exit('chat.node' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
