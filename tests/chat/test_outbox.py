"""The outbox: the bytes on the wire are the same whatever the socket takes; it is cut at the end of a frame only."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.outbox import Outbox

frames = st.lists(st.binary(min_size=1, max_size=40), max_size=30)


@given(frames, st.lists(st.tuples(st.booleans(), st.integers(1, 100), st.floats(0, 1)), max_size=40))
def test_the_stream_is_the_frames_one_after_another_whatever_the_socket_takes(
    given: list[bytes], steps: list[tuple[bool, int, float]]
) -> None:
    outbox, wire, waiting = Outbox(), b"", list(given)
    for comes, most, share in steps:
        if waiting and comes:
            outbox.add(waiting.pop(0))
        piece = outbox.peek(most)
        taken = round(len(piece) * share)
        wire += piece[:taken]
        outbox.sent(taken)
        assert outbox.size == sum(map(len, outbox.chunks))
    for frame in waiting:
        outbox.add(frame)
    while outbox.size:
        piece = outbox.peek(64)
        wire += piece
        outbox.sent(len(piece))
    assert wire == b"".join(given)


@given(st.data(), frames)
def test_a_cut_keeps_the_rest_of_the_frame_that_was_begun_and_nothing_else(
    data: st.DataObject, given: list[bytes]
) -> None:
    outbox, stream = Outbox(), b"".join(given)
    for frame in given:
        outbox.add(frame)
    taken = 0
    for _ in range(data.draw(st.integers(0, 5))):
        count = data.draw(st.integers(0, outbox.size))
        outbox.sent(count)
        taken += count
    ends = [sum(map(len, given[:count])) for count in range(len(given) + 1)]
    frame_end = next(end for end in ends if end >= taken)
    dropped = outbox.cut()
    assert b"".join(outbox.chunks) == stream[taken:frame_end]
    assert outbox.size == frame_end - taken
    assert dropped == len(stream) - frame_end


@given(frames, st.integers(1, 200))
def test_a_look_holds_whole_frames_and_no_more_than_asked_unless_the_first_is_larger(
    given: list[bytes], most: int
) -> None:
    outbox = Outbox()
    for frame in given:
        outbox.add(frame)
    seen = outbox.peek(most)
    ends = {sum(map(len, given[:count])) for count in range(len(given) + 1)}
    assert b"".join(given).startswith(seen)
    assert len(seen) in ends
    assert len(seen) <= max(most, len(given[0]) if given else 0)
    assert bool(seen) == bool(given)


@pytest.mark.parametrize(("taken", "kept"), [(0, b""), (1, b"bb"), (3, b""), (4, b"cc"), (6, b"")])
def test_a_cut_at_each_kind_of_place(taken: int, kept: bytes) -> None:
    outbox = Outbox()
    outbox.add(b"bbb")
    outbox.add(b"ccc")
    outbox.sent(taken)
    outbox.cut()
    assert b"".join(outbox.chunks) == kept
