import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.errors import ChatError
from chat.refresh_tokens import digest_of, make, read

SECRET = "s" * 32


def test_a_token_tells_its_login_and_number():
    assert read(SECRET, make(SECRET, 12, 3)) == (12, 3)


def test_two_tokens_of_one_number_differ():
    assert make(SECRET, 12, 3) != make(SECRET, 12, 3)


def test_a_repeated_request_gets_the_same_token():
    assert make(SECRET, 1, 1, "old key") == make(SECRET, 1, 1, "old key")
    assert make(SECRET, 1, 1, "old key") != make(SECRET, 1, 1, "old other")


@pytest.mark.parametrize("place", range(4))
def test_a_token_that_was_touched_was_never_ours(place):
    parts = make(SECRET, 12, 3).split(".")
    parts[place] = parts[place][:-1] + ("1" if parts[place][-1] != "1" else "2")
    with pytest.raises(ChatError) as refusal:
        read(SECRET, ".".join(parts))
    assert refusal.value.code.name == "bad_token"


def test_a_token_of_another_secret_was_never_ours():
    with pytest.raises(ChatError):
        read("t" * 32, make(SECRET, 12, 3))


@given(st.text())
def test_any_text_is_at_most_a_bad_token(text):
    with pytest.raises(ChatError):
        read(SECRET, text)


def test_the_database_keeps_a_digest_of_fixed_length():
    assert len(digest_of(make(SECRET, 1, 1))) == 32
