"""How much one user may upload."""

from collections.abc import Callable
from contextlib import ExitStack

import pytest

from chat.errors import ChatError
from tests.chat.world import DEFAULTS
from uploads.allowance import ALL_AT_ONCE, Allowance

ANN, BOB = 1, 2
HOME, WORK = "192.0.2.1", "192.0.2.2"


def allowance(**config: int) -> Allowance:
    return Allowance(DEFAULTS | config)


def refusal(work: Callable[[], object]) -> tuple[str, float]:
    with pytest.raises(ChatError) as refused:
        work()
    return refused.value.code.name, refused.value.retry_after or 0


def test_a_user_has_so_many_uploads_at_a_time_and_another_user_as_many() -> None:
    allowed = allowance(UPLOADS_AT_ONCE=2)
    with allowed.one(ANN, HOME, 1), allowed.one(ANN, HOME, 1), allowed.one(BOB, HOME, 1):
        assert refusal(lambda: allowed.one(ANN, HOME, 1).__enter__())[0] == "rate_limited"
    with allowed.one(ANN, HOME, 1), allowed.one(ANN, HOME, 1):
        pass


def test_an_address_has_so_many_whoever_is_there() -> None:
    allowed = allowance(UPLOADS_PER_ADDRESS=2)
    with allowed.one(ANN, HOME, 1), allowed.one(BOB, HOME, 1):
        assert refusal(lambda: allowed.one(3, HOME, 1).__enter__())[0] == "rate_limited"
        with allowed.one(3, WORK, 1):
            assert allowed.under_way == 3
    assert allowed.under_way == 0


def test_an_upload_that_failed_is_one_no_more() -> None:
    allowed = allowance(UPLOADS_AT_ONCE=1)
    with pytest.raises(KeyError), allowed.one(ANN, HOME, 1):
        raise KeyError
    with allowed.one(ANN, HOME, 1):
        pass


def test_bytes_come_back_at_the_rate() -> None:
    allowed = allowance(UPLOAD_RATE=100, UPLOAD_BURST=1_000)
    with allowed.one(ANN, HOME, 900):
        pass
    code, wait = refusal(lambda: allowed.one(ANN, HOME, 300).__enter__())
    assert code == "rate_limited"
    assert 1 < wait <= 2
    with allowed.one(BOB, HOME, 900):
        pass


def test_an_image_is_paid_for_by_its_pixels_where_they_are_more() -> None:
    allowed = allowance(UPLOAD_RATE=100, UPLOAD_BURST=1_000)
    allowed.charge(ANN, 1_000, 4_000)
    allowed.charge(ANN, 150, 4_000)
    code, wait = refusal(lambda: allowed.charge(ANN, 150, 4_000))
    assert code == "rate_limited"
    assert 6 < wait <= 7
    assert refusal(lambda: allowed.one(ANN, HOME, 900).__enter__())[0] == "rate_limited"
    allowed.charge(BOB, 150, 4_000)


def test_all_users_together_have_a_bound() -> None:
    allowed = allowance(UPLOAD_RATE=0)
    with ExitStack() as stack:
        for user in range(ALL_AT_ONCE):
            stack.enter_context(allowed.one(user, f"10.0.0.{user}", 1))
        assert refusal(lambda: allowed.one(ALL_AT_ONCE, HOME, 1).__enter__())[0] == "overloaded"


def test_what_is_not_sent_fills_the_disk_up_to_the_bound() -> None:
    allowed = allowance(UPLOAD_UNUSED_BYTES=1_000)
    allowed.check_unused(900, 100)
    assert refusal(lambda: allowed.check_unused(900, 101))[0] == "rate_limited"
