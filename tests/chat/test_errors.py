"""The one table of refusals and endings."""

import pytest

from chat.errors import CODES, ChatError, CloseReason


def test_a_refusal_has_the_one_shape_of_all_doors() -> None:
    error = ChatError("invalid", "So not.", details={"name": ["bad"]}, retry_after=1.23456)
    assert error.as_data() == {
        "code": "invalid",
        "message": "So not.",
        "details": {"name": ["bad"]},
        "retryAfter": 1.235,
    }
    assert ChatError("not_found").as_data() == {"code": "not_found", "message": CODES["not_found"].message}


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
