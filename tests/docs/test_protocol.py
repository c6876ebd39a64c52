"""docs/protocol.md says what the server does: its examples are played, its tables compared with the code."""

import re
from collections.abc import Iterator

import pytest
from marshmallow import Schema

from app import create_app
from chat import dispatch
from chat.asyncapi import EVENTS
from chat.commands import verbs
from chat.config import SETTINGS
from chat.errors import CODES, CloseReason
from chat.rest import operation_of
from tests.deployment import ROOT, Deployment
from tests.docs.script import Player, steps

NUMBERS = (  # what the table of limits says, with the settings' names where it has their numbers
    "{CONTENT_CHARACTERS:,} characters",
    "{METADATA_BYTES:,} bytes",
    "{FRAME_BYTES:,} bytes",
    "{OUTBOX_BYTES:,} bytes",
    "{MESSAGE_BURST} at once, then {MESSAGE_RATE:g} a second",
    "{COMMAND_BURST} units at once, then {COMMAND_RATE:g} a",
    "{SESSIONS_PER_USER} on a server process",
    "{POLLS_PER_LOGIN} on a server process",
    "{WAITING_PER_ADDRESS}",
    "{IDLE_HOURS} h",
    "{LOGIN_PER_NAME} a minute and name, {LOGIN_PER_ADDRESS} a minute and address",
)
PROTOCOL = ROOT / "docs" / "protocol.md"


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A server that nobody has used: its first user is u1."""
    made = Deployment(tmp_path_factory.mktemp("fresh"))
    try:
        yield made.start()
    finally:
        made.stop()


def test_the_examples_are_what_a_server_does(fresh: Deployment) -> None:
    player = Player(fresh.url)
    try:
        for step in steps(PROTOCOL):
            player.play(*step)
        assert player.untold() == {}
    finally:
        player.hang_up()


def test_the_table_of_commands_is_what_the_verbs_and_routes_say(routes: dict[str, set[str]]) -> None:
    told = {name: (fields, set(places), cost) for name, fields, places, cost in _commands()}
    assert told == {
        verb.name: (_fields(verb.schema()), routes.get(verb.name, set()), f"{verb.cost:g}") for verb in verbs().values()
    }


def test_the_table_of_events_names_all_of_them() -> None:
    assert {row[0].strip("`") for row in _rows("Events")} == set(EVENTS)


def test_the_table_of_limits_has_the_defaults_of_the_settings() -> None:
    default = {setting.name: setting.default for setting in SETTINGS}
    told = " ".join(row[1] for row in _rows("Limits"))
    for text in NUMBERS:
        assert text.format(**default) in told
    assert f"{default['UPLOAD_BYTES'] >> 20} MiB" in told
    assert str(dispatch.UNANSWERED) in told


def test_every_ending_and_code_that_is_named_exists() -> None:
    codes = CODES.keys() | {reason.code for reason in CloseReason}
    named = {word for row in _rows("Limits") for word in re.findall(r"`([a-z_]+)`", row[2])} - {"bye"}
    assert named <= codes


@pytest.fixture(scope="module")
def routes() -> dict[str, set[str]]:
    """Return the routes of each verb: `GET /users/{}`."""
    app = create_app({"DATABASE_URL": "postgresql+psycopg://", "REDIS_URL": "redis://", "JWT_SECRET": "x" * 32})
    found: dict[str, set[str]] = {}
    with app.app_context():
        for rule in app.url_map.iter_rules():
            operation = operation_of(rule.endpoint)
            if operation is not None and operation.verb:
                (method,) = rule.methods - {"HEAD", "OPTIONS"}
                path = re.sub(r"<[^>]+>", "{}", rule.rule.removeprefix("/api/v1"))
                found.setdefault(operation.verb, set()).add(f"{method} {path}")
    return found


def _rows(chapter: str) -> list[list[str]]:
    """Return the cells of the first table of a chapter, its head left out."""
    text = PROTOCOL.read_text().split(f"\n## {chapter}\n")[1].split("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def _commands() -> Iterator[tuple[str, set[str], list[str], str]]:
    for name, fields, places, cost in _rows("Commands"):
        paths = [re.sub(r"\{\w+\}", "{}", place) for place in re.findall(r"`([^`]+)`", places)]
        yield name.strip("`"), set(filter(None, fields.split(", "))), paths, cost


def _fields(schema: Schema) -> set[str]:
    return {f"{field.data_key or name}{'' if field.required else '?'}" for name, field in schema.fields.items()}
