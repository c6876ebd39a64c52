"""Settings: read, defaulted, checked at start, and named where they make no sense."""

import re
from typing import Any

import pytest

from chat.config import SETTINGS, ConfigError, load

NEEDED = {"DATABASE_URL": "postgresql+psycopg://db/x", "REDIS_URL": "redis://r", "JWT_SECRET": "s" * 32}


def loaded(**environ: str) -> dict[str, Any]:
    return load(environ=NEEDED | environ)


def test_everything_has_a_default_but_what_must_be_told() -> None:
    values = loaded()
    assert set(values) == {setting.name for setting in SETTINGS}
    assert values["CONTENT_CHARACTERS"] == 5_000


@pytest.mark.parametrize("name", NEEDED)
def test_what_must_be_told_is_asked_for_by_name(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        load(environ={other: value for other, value in NEEDED.items() if other != name})


def test_no_secret_has_a_usable_default_and_a_short_one_is_refused() -> None:
    with pytest.raises(ConfigError, match="JWT_SECRET"):
        loaded(JWT_SECRET="s" * 31)
    assert [setting.name for setting in SETTINGS if "SECRET" in setting.name and setting.default] == []


@pytest.mark.parametrize("url", ["https://push.example/hook", "http://127.0.0.1:8080/", "http://localhost/", ""])
def test_notifications_go_to_an_address_that_nobody_listens_in_on(url: str) -> None:
    assert loaded(PUSH_WEBHOOK_URL=url, PUSH_WEBHOOK_SECRET="s" * 32)["PUSH_WEBHOOK_URL"] == url


@pytest.mark.parametrize("url", ["http://push.example", "https://", "ftp://localhost", "push.example", "file:///etc"])
def test_they_go_nowhere_else(url: str) -> None:
    with pytest.raises(ConfigError, match="PUSH_WEBHOOK_URL"):
        loaded(PUSH_WEBHOOK_URL=url, PUSH_WEBHOOK_SECRET="s" * 32)


def test_they_are_signed_with_a_secret() -> None:
    with pytest.raises(ConfigError, match="PUSH_WEBHOOK_SECRET"):
        loaded(PUSH_WEBHOOK_URL="https://push.example", PUSH_WEBHOOK_SECRET="short")


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("REGISTRATION", "off", False),
        ("REGISTRATION", " Yes ", True),
        ("JWT_AUTO_CREATE", "1", True),
        ("PING_SECONDS", "3", 3),
        ("MESSAGE_RATE", "0.5", 0.5),
        ("CORS_ORIGINS", "https://a.example, https://*.b.example,", ("https://a.example", "https://*.b.example")),
    ],
)
def test_the_environments_text_becomes_a_value(name: str, text: str, value: object) -> None:
    assert loaded(**{name: text})[name] == value


@pytest.mark.parametrize(
    ("name", "text"), [("PING_SECONDS", "soon"), ("REGISTRATION", "perhaps"), ("MESSAGE_RATE", "")]
)
def test_nonsense_is_refused_with_the_setting_and_its_meaning(name: str, text: str) -> None:
    with pytest.raises(ConfigError, match=f"{name}=.*makes no sense: .{{10}}"):
        loaded(**{name: text})


def test_what_the_caller_gives_goes_over_the_environment() -> None:
    assert load({"PING_SECONDS": 7}, environ=NEEDED | {"PING_SECONDS": "3"})["PING_SECONDS"] == 7


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_setting_gives_its_reason(setting: object) -> None:
    assert re.fullmatch(r"[A-Z_]+", setting.name)  # type: ignore[attr-defined]
    assert len(setting.reason) > 10  # type: ignore[attr-defined]
