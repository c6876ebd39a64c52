"""What crosses the core."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat import frames
from chat.frames import CONVERSATION, USER, WATCHERS, Event

numbers = st.integers(0, 2**53)
people = st.lists(numbers, max_size=5).map(tuple)


@given(
    st.builds(
        Event, st.sampled_from(["message", "unread"]), st.binary(max_size=50), st.sampled_from([CONVERSATION, USER, WATCHERS]), numbers,  # noqa: E501
        change=numbers, seq=numbers, version=numbers, members=people, added=people, removed=people,
        origin=st.text("abc123-_", max_size=20), logged=st.booleans(), private=st.booleans(),
    )
)  # fmt: skip
def test_an_event_crosses_to_another_process_and_is_the_same(event: Event) -> None:
    header = event.header()
    assert b"\n" not in header
    back = Event.read(header, event.raw)
    kept = [name for name in Event.__slots__ if name not in ("encodings", "_data", "n", "told")]
    assert [getattr(back, name) for name in kept] == [getattr(event, name) for name in kept]


def test_data_goes_out_as_it_came_and_is_decoded_at_first_need() -> None:
    event = Event.of("typing", {"a": [1, "é"]}, CONVERSATION, 7, logged=False)
    assert orjson.loads(event.raw) == event.data == {"a": [1, "é"]}
    assert event.data is event.data


def test_an_event_is_encoded_once_a_language() -> None:
    calls = []

    def encode(event: Event) -> bytes:
        calls.append(event)
        return b"frame"

    event = Event("message", b"{}", CONVERSATION, 7)
    assert [event.encoded(language, encode) for language in ("a", "a", "b")] == [b"frame"] * 3
    assert calls == [event, event]


def test_what_another_version_says_is_not_taken_for_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    event = Event("message", b"{}", CONVERSATION, 7)
    monkeypatch.setattr(frames, "FORMAT", frames.FORMAT + 1)
    header = event.header()
    monkeypatch.undo()
    with pytest.raises(ValueError, match="format"):
        Event.read(header, event.raw)
