"""Frames of RFC 6455: however they are split on the way they mean the same; who breaks the rules is cut off."""

import pytest  # noqa: I001
from hypothesis import given
from hypothesis import strategies as st

from chat.errors import CloseReason
from chat.transports.framing import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    FrameError,
    FrameReader,
    accept_key,
    close_frame,
    frame,
)
import itertools

MOST = 70_000
FIN = 0x80
Message = tuple[int, bytes]


def masked(
    payload: bytes, opcode: int = TEXT, fin: int = FIN, mask: bytes = b"\x01\x80\xff\x00", wide: int = 0
) -> bytes:
    """Return a frame as a client sends it, octet by octet as the RFC says. `wide`: least bytes of the length field."""
    size = len(payload)
    if size < 126 and not wide:
        length = bytes([0x80 | size])
    elif size < 65_536 and wide < 8:
        length = b"\xfe" + size.to_bytes(2, "big")
    else:
        length = b"\xff" + size.to_bytes(8, "big")
    return bytes([fin | opcode]) + length + mask + bytes(octet ^ mask[place % 4] for place, octet in enumerate(payload))


def read(stream: bytes, cuts: list[int], most: int = MOST) -> list[Message]:
    """Feed a stream in pieces cut at these places."""
    reader, found = FrameReader(most), []
    places = [0, *sorted(cut for cut in cuts if cut < len(stream)), len(stream)]
    for start, end in itertools.pairwise(places):
        found += reader.feed(stream[start:end])
    return found


def reason(stream: bytes, most: int = MOST) -> CloseReason:
    with pytest.raises(FrameError) as caught:
        FrameReader(most).feed(stream)
    return caught.value.reason


masks = st.binary(min_size=4, max_size=4)
payloads = st.binary(max_size=300) | st.sampled_from([125, 126, 127, 65_535, 65_536]).map(lambda size: b"x" * size)
controls = st.tuples(st.sampled_from([PING, PONG]), st.binary(max_size=125))


@st.composite
def conversations(draw: st.DrawFn) -> tuple[list[Message], bytes]:
    """Messages, some of them in fragments with control frames in between, and the stream that carries them."""
    messages: list[Message] = []
    stream = b""
    for _ in range(draw(st.integers(0, 4))):
        pieces = [*draw(st.lists(st.binary(max_size=40), max_size=4)), draw(payloads)]
        for place, piece in enumerate(pieces):
            opcode, fin = (TEXT if place == 0 else CONTINUATION), (FIN if place == len(pieces) - 1 else 0)
            stream += masked(piece, opcode, fin, draw(masks))
            if fin:
                messages.append((TEXT, b"".join(pieces)))
            for control in draw(st.lists(controls, max_size=2)):
                stream += masked(control[1], control[0], mask=draw(masks))
                messages.append(control)
    return messages, stream


@given(conversations(), st.lists(st.integers(1, 2_000), max_size=30))
def test_any_split_of_any_frames_gives_the_same_messages(
    conversation: tuple[list[Message], bytes], cuts: list[int]
) -> None:
    messages, stream = conversation
    assert read(stream, cuts) == messages


@given(st.lists(st.binary(max_size=130), max_size=3))
def test_octet_by_octet_is_enough(payloads: list[bytes]) -> None:
    stream = b"".join(map(masked, payloads))
    assert read(stream, list(range(len(stream)))) == [(TEXT, payload) for payload in payloads]


@given(
    st.binary(max_size=200),
    st.integers(0, 15),
    st.integers(0, 7),
    st.booleans(),
    st.integers(0, 9),
    st.integers(1, 300),
)
def test_noise_ends_in_messages_or_a_reason_and_never_keeps_more_than_is_allowed(
    noise: bytes, opcode: int, reserved: int, masking: bool, length: int, most: int
) -> None:
    stream = bytes([FIN | reserved << 4 | opcode, (0x80 if masking else 0) | length]) + noise
    reader = FrameReader(most)
    for octet in stream:
        try:
            reader.feed(bytes([octet]))
        except FrameError as error:
            assert error.reason in (CloseReason.PROTOCOL, CloseReason.UNSUPPORTED, CloseReason.TOO_BIG)
            break
        assert len(reader._rest) <= max(most, 125) + 14


@given(payloads, st.sampled_from([TEXT, PING, PONG]))
def test_a_frame_of_ours_reads_as_its_payload(payload: bytes, opcode: int) -> None:
    made = frame(payload, opcode)
    assert made[0] == FIN | opcode
    assert made.endswith(payload)
    size = made[1]
    rest = 2
    if size == 126:
        size, rest = int.from_bytes(made[2:4], "big"), 4
    elif size == 127:
        size, rest = int.from_bytes(made[2:10], "big"), 10
    assert (size, len(made)) == (len(payload), rest + len(payload))


@pytest.mark.parametrize("wide", [2, 8])
def test_a_length_told_with_more_octets_than_needed_is_understood(wide: int) -> None:
    assert read(masked(b"hello", wide=wide), []) == [(TEXT, b"hello")]


@pytest.mark.parametrize(
    ("stream", "why"),
    [
        (frame(b"hello"), CloseReason.PROTOCOL),  # not masked
        (b"\xc1\x80abcd", CloseReason.PROTOCOL),  # RSV1: compression was not agreed on
        (b"\xa1\x80abcd", CloseReason.PROTOCOL),
        (b"\x91\x80abcd", CloseReason.PROTOCOL),
        (masked(b"x", BINARY), CloseReason.UNSUPPORTED),
        (masked(b"x", 3), CloseReason.PROTOCOL),
        (masked(b"x", 11), CloseReason.PROTOCOL),
        (masked(b"x", PING, fin=0), CloseReason.PROTOCOL),
        (masked(b"x" * 126, PING), CloseReason.PROTOCOL),
        (masked(b"x", CONTINUATION), CloseReason.PROTOCOL),
        (masked(b"x", TEXT, fin=0) + masked(b"y", TEXT), CloseReason.PROTOCOL),
        (masked(b"x" * (MOST + 1)), CloseReason.TOO_BIG),
        (b"\x81\xff" + b"\xff" * 8 + b"abcd", CloseReason.TOO_BIG),  # 2^64 - 1 octets
    ],
)
def test_what_breaks_the_rules_ends_for_its_reason(stream: bytes, why: CloseReason) -> None:
    assert reason(stream) is why


def test_a_frame_too_big_is_refused_by_its_head_and_not_collected_first() -> None:
    assert reason(masked(b"x" * 1_001)[:8], most=1_000) is CloseReason.TOO_BIG
    assert read(masked(b"x" * 1_000), [], most=1_000) == [(TEXT, b"x" * 1_000)]


def test_fragments_are_too_big_together() -> None:
    first, second = masked(b"x" * 600, TEXT, 0), masked(b"x" * 600, CONTINUATION)
    assert reason(first + second, most=1_000) is CloseReason.TOO_BIG


def test_the_bound_counts_anew_for_each_message() -> None:
    one = masked(b"x" * 600, TEXT, 0) + masked(b"x" * 400, CONTINUATION)
    assert read(one * 3, [], most=1_000) == [(TEXT, b"x" * 1_000)] * 3


def test_empty_fragments_without_end_take_no_room() -> None:
    reader = FrameReader(MOST)
    reader.feed(masked(b"", TEXT, 0))
    for _ in range(1_000):
        reader.feed(masked(b"", CONTINUATION, 0))
    assert not reader._fragments
    assert reader.feed(masked(b"end", CONTINUATION)) == [(TEXT, b"end")]


def test_what_was_complete_before_the_broken_frame_is_not_lost() -> None:
    with pytest.raises(FrameError) as caught:
        FrameReader(MOST).feed(masked(b"good") + masked(b"x", BINARY))
    assert caught.value.before == [(TEXT, b"good")]


def test_a_close_frame_has_number_and_reason_within_what_a_control_frame_holds() -> None:
    assert close_frame(4409, "too_slow") == b"\x88\x0a" + (4409).to_bytes(2, "big") + b"too_slow"
    long = close_frame(1001, "x" * 200)
    assert long[1] == len(long) - 2 == 125


@pytest.mark.parametrize("number", [1005, 1006, 1015])
def test_numbers_that_may_not_be_sent_are_not_sent(number: int) -> None:
    assert close_frame(number, "lost") == frame(b"", CLOSE)


def test_the_handshake_of_the_rfc() -> None:
    assert accept_key("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
