import pytest

from bench.generator.frames import CLOSE, MASK, PING, TEXT, ProtocolError, client_frame, close_frame, split


def server_frame(payload: bytes, opcode: int = TEXT) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes((0x80 | opcode, size)) + payload
    if size < 1 << 16:
        return bytes((0x80 | opcode, 126)) + size.to_bytes(2, "big") + payload
    return bytes((0x80 | opcode, 127)) + size.to_bytes(8, "big") + payload


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_frames_of_every_length_form_are_read(size: int) -> None:
    payload = b"x" * size
    assert split(server_frame(payload) + server_frame(b"next")) == ([(TEXT, payload), (TEXT, b"next")], b"")


@pytest.mark.parametrize("size", [3, 200, 70_000])
def test_a_frame_cut_anywhere_is_left_for_the_next_read(size: int) -> None:
    whole = server_frame(b"x" * size)
    for cut in {*range(min(20, len(whole))), len(whole) - 1}:
        assert split(server_frame(b"first") + whole[:cut]) == ([(TEXT, b"first")], whole[:cut])


def test_control_frames_keep_their_opcode() -> None:
    assert split(server_frame(b"p", PING) + server_frame(b"\x03\xe8", CLOSE))[0] == [(PING, b"p"), (CLOSE, b"\x03\xe8")]


@pytest.mark.parametrize("start", [b"\x01\x01x", b"\xc1\x01x", b"\x81\x81kkkkx"])
def test_fragments_reserved_bits_and_masks_are_refused(start: bytes) -> None:
    with pytest.raises(ProtocolError):
        split(start + bytes(10))


@pytest.mark.parametrize("size", [0, 125, 126, 60_000])
def test_a_client_frame_is_masked_and_tells_its_length(size: int) -> None:
    frame = client_frame(b"x" * size)
    head = 2 if size < 126 else 4
    assert frame[0] == 0x81
    assert frame[1] == 0x80 | min(size, 126)
    assert head == 2 or int.from_bytes(frame[2:4], "big") == size
    key, payload = frame[head : head + 4], frame[head + 4 :]
    assert bytes(byte ^ key[index % 4] for index, byte in enumerate(payload)) == b"x" * size


def test_a_close_frame_carries_its_code() -> None:
    assert close_frame(1000)[6:].translate(MASK) == b"\x03\xe8"
