"""The one table of refusals and endings."""

import ast
import pickle
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chat.errors import CODES, ChatError, CloseReason

ROOT = Path(__file__).resolve().parents[2]
PROTOCOL = ROOT / "docs" / "protocol.md"
TOLD = {code.name for code in CODES.values()} | {reason.code for reason in CloseReason}


def nodes(kind: type[Any]) -> Iterator[Any]:
    """Return every node of this kind in the syntax trees of the product, but for the table itself."""
    for folder in ("chat", "tasks", "uploads"):
        for file in (ROOT / folder).rglob("*.py"):
            if file != ROOT / "chat" / "errors.py":
                yield from (node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, kind))


def test_a_refusal_has_the_one_shape_of_all_doors() -> None:
    error = ChatError("invalid", "So not.", details={"name": ["bad"]}, retry_after=1.23456)
    assert error.as_data() == {
        "code": "invalid",
        "message": "So not.",
        "details": {"name": ["bad"]},
        "retryAfter": 1.235,
    }
    assert ChatError("not_found").as_data() == {"code": "not_found", "message": CODES["not_found"].message}


def test_a_refusal_goes_from_process_to_process_as_it_is() -> None:
    refusal = ChatError("rate_limited", "Slowly.", details={"of": "messages"}, retry_after=1.5)
    assert pickle.loads(pickle.dumps(refusal)).as_data() == refusal.as_data()


def test_a_code_that_is_not_in_the_table_cannot_be_raised() -> None:
    with pytest.raises(KeyError):
        ChatError("made_up")


def test_what_may_have_happened_says_to_ask_again_with_the_same_local_id() -> None:
    for code in CODES.values():
        assert not code.happened or "same localId" in code.retry


@pytest.mark.parametrize("code", CODES.values(), ids=CODES)
def test_every_code_has_a_status_and_a_sentence(code: object) -> None:
    assert 400 <= code.status < 600  # type: ignore[attr-defined]
    assert code.message.endswith((".", ")"))  # type: ignore[attr-defined]


def test_every_ending_has_a_number_that_may_stand_in_a_close_frame() -> None:
    for reason in CloseReason:
        assert 1_000 <= reason.number <= 1_013 or 4_000 <= reason.number < 5_000


def test_reasons_with_the_same_number_stay_apart() -> None:
    assert len({reason.code for reason in CloseReason}) == len(list(CloseReason))


def test_only_where_coming_back_with_the_same_token_is_useless_a_client_is_told_to_stay_away() -> None:
    away = {reason for reason in CloseReason if not reason.come_back}
    assert away == {CloseReason.LEFT, CloseReason.LOGIN_ENDED, CloseReason.BAD_TOKEN}


def test_every_code_of_the_table_is_given_somewhere() -> None:
    assert set(CODES) <= {node.value for node in nodes(ast.Constant)}


def test_every_reason_of_the_table_ends_sessions_somewhere() -> None:
    used = {node.attr for node in nodes(ast.Attribute) if getattr(node.value, "id", "") == "CloseReason"}
    assert used == {reason.name for reason in CloseReason}


def test_no_code_is_given_that_is_not_in_the_table() -> None:
    calls = [(getattr(node.func, "id", ""), node) for node in nodes(ast.Call)]
    raised = {
        node.args[0].value for name, node in calls if name == "ChatError" and isinstance(node.args[0], ast.Constant)
    }
    lists = [word.value for name, node in calls if name == "describe" for word in node.keywords if word.arg == "errors"]
    listed = {code.value for codes in lists for code in ast.walk(codes) if isinstance(code, ast.Constant)}
    assert raised
    assert listed
    assert raised | listed <= set(CODES)


def test_the_protocol_names_no_other_codes_and_close_numbers() -> None:
    text = PROTOCOL.read_text()
    snakes = set(re.findall(r"`([a-z]+(?:_[a-z]+)+)", text)) | set(re.findall(r'"code": "([a-z_]+)"', text))
    assert snakes
    assert snakes <= TOLD
    numbers = {int(number) for number in re.findall(r"\b44[0-9]{2}\b", text)}
    assert numbers
    assert numbers <= {reason.number for reason in CloseReason}


def test_the_protocol_names_every_ending_of_its_table_of_limits() -> None:
    limits = PROTOCOL.read_text().partition("## Limits")[2].partition("## ")[0]
    bounds = ("too_slow", "frame_too_big", "too_many_sessions", "flooding", "idle", "rate_limited", "content_too_long")
    assert all(f"`{code}`" in limits for code in bounds)
