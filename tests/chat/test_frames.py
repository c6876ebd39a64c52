"""An event is the same in another process, and is encoded and decoded once."""

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from chat.frames import CONVERSATION, USER, WATCHERS, Event

names = st.text(st.characters(codec="utf-8"), max_size=20)
number = st.integers(0, 2**63 - 1)
several = st.lists(number, max_size=20).map(tuple)
events = st.builds(
    Event, names, st.binary(max_size=20), st.sampled_from([CONVERSATION, USER, WATCHERS]), number, change=number,
    seq=number, version=number, members=several, added=several, removed=several, origin=names, logged=st.booleans(),
    private=st.booleans(),
)  # fmt: skip
OWN = {"n", "told", "encodings", "_data"}  # what a process makes itself


def told(event: Event) -> dict[str, Any]:
    """Return what another process has to know."""
    return {field: getattr(event, field) for field in Event.__slots__ if field not in OWN}


@given(events)
def test_another_process_reads_the_event_that_was_described(event: Event) -> None:
    assert told(Event.read(event.header(), event.raw)) == told(event)


@given(events)
def test_a_header_is_one_line_without_the_data(event: Event) -> None:
    assert b"\n" not in event.header()
    assert Event.read(event.header(), b"other").raw == b"other"


def test_an_event_of_plain_data_carries_it_encoded() -> None:
    event = Event.of("typing", {"userId": "u1", "text": "né"}, USER, 5, change=3)
    assert orjson.loads(event.raw) == event.data == {"userId": "u1", "text": "né"}
    assert (event.name, event.scope, event.target, event.change) == ("typing", USER, 5, 3)


def test_data_is_decoded_once() -> None:
    event = Event("message", b'{"seq":1}', CONVERSATION, 7)
    assert event.data is event.data


def test_an_event_is_encoded_once_in_each_language() -> None:
    event, made = Event("message", b"{}", CONVERSATION, 7), []

    def encode(given: Event) -> bytes:
        made.append(given)
        return b"frame %d" % len(made)

    assert [event.encoded(language, encode) for language in ("native", "stomp", "native", "stomp")] == [
        b"frame 1", b"frame 2", b"frame 1", b"frame 2",
    ]  # fmt: skip
    assert made == [event, event]
