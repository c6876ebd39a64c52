"""Images rebuilt from the blocks that show them."""

import struct
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import PngImagePlugin

from tests.uploads.pictures import animated, chunk, encoded, opened, with_gps
from uploads.blocks import BrokenError, rebuilt_gif, rebuilt_png, rebuilt_webp

EVIL = b"<html><script>alert(1)</script>"
SAME = {"PNG": rebuilt_png, "GIF": rebuilt_gif, "WEBP": rebuilt_webp}


ROOT = Path(__file__).resolve().parents[2]
NARROW = """
import resource, sys
from uploads.blocks import BrokenError, rebuilt_webp
data = sys.stdin.buffer.read()
resource.setrlimit(resource.RLIMIT_AS, (200_000_000, 200_000_000))
try:
    print(len(rebuilt_webp(data)))
except BrokenError as error:
    print(error)
"""


def riff(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("<I", len(content)) + content + b"\0" * (len(content) & 1)


def frames(data: bytes) -> list[bytes]:
    image = opened(data)
    found = []
    for place in range(getattr(image, "n_frames", 1)):
        image.seek(place)
        found.append(image.convert("RGBA").tobytes())
    return found


@pytest.mark.parametrize("form", ["PNG", "GIF", "WEBP"])
def test_the_picture_stays_what_it_was(form: str) -> None:
    data = encoded(form)
    assert frames(SAME[form](data)) == frames(data)


@pytest.mark.parametrize("form", ["PNG", "GIF", "WEBP"])
def test_a_moving_picture_goes_on_moving(form: str) -> None:
    data = animated(form)
    rebuilt = SAME[form](data)
    assert frames(rebuilt) == frames(data)
    assert len(frames(rebuilt)) == 3
    assert opened(rebuilt).info["loop"] == opened(data).info["loop"]
    assert opened(rebuilt).info["duration"] == opened(data).info["duration"]


@pytest.mark.parametrize("form", ["PNG", "GIF", "WEBP"])
def test_what_follows_the_end_is_gone(form: str) -> None:
    assert SAME[form](encoded(form) + b"PK\x03\x04" + EVIL) == SAME[form](encoded(form))


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_metadata_is_gone(form: str) -> None:
    data = encoded(form, exif=with_gps(), icc_profile=EVIL * 3)
    assert b"SECRET PLACE" in data
    rebuilt = SAME[form](data)
    assert b"SECRET PLACE" not in rebuilt
    assert dict(opened(rebuilt).getexif()) == {}
    assert EVIL not in rebuilt


def test_a_webp_does_not_announce_what_is_gone() -> None:
    data = encoded("WEBP", exif=with_gps(), icc_profile=EVIL * 3)
    rebuilt = rebuilt_webp(data)
    assert data[20] & 0x2C
    assert not rebuilt[20] & 0x2C


def test_texts_in_a_png_are_gone_and_so_are_chunks_of_a_wrong_size() -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", EVIL.decode())
    data = encoded("PNG", pnginfo=info)
    assert EVIL in data
    assert EVIL not in rebuilt_png(data)
    smuggled = data[:33] + chunk(b"gAMA", EVIL) + data[33:]
    assert EVIL not in rebuilt_png(smuggled)


def test_comments_and_foreign_extensions_of_a_gif_are_gone() -> None:
    data = encoded("GIF", comment=EVIL)
    assert EVIL in data
    assert EVIL not in rebuilt_gif(data)
    head = 13 + 3 * (2 << (data[10] & 7))
    for kind in (b"\x21\xff\x0bEVILEVIL1.0", b"\x21\x01"):
        foreign = data[:head] + kind + bytes([len(EVIL)]) + EVIL + b"\0" + data[head:]
        assert EVIL not in rebuilt_gif(foreign)


def test_a_frame_of_a_webp_brings_nothing_foreign_along() -> None:
    data = animated("WEBP")
    place = data.index(b"ANMF")
    (length,) = struct.unpack_from("<I", data, place + 4)
    extra = b"EVIL" + struct.pack("<I", len(EVIL)) + EVIL + b"\0" * (len(EVIL) & 1)
    frame = data[place + 8 : place + 8 + length] + extra
    smuggled = data[:place] + b"ANMF" + struct.pack("<I", len(frame)) + frame + data[place + 8 + length :]
    smuggled = b"RIFF" + struct.pack("<I", len(smuggled) - 8) + smuggled[8:]
    assert frames(smuggled) == frames(data)
    assert rebuilt_webp(smuggled) == rebuilt_webp(data)


def test_frames_within_frames_are_refused_and_many_chunks_take_little_memory() -> None:
    plain = animated("WEBP", frames=2)
    head, frame = plain[:12], plain[plain.index(b"ANMF") :]
    frame = frame[: 8 + struct.unpack_from("<I", frame, 4)[0]]
    deep = b""
    for _ in range(900):
        deep = riff(b"ANMF", frame[8:] + riff(b"XTRA", bytes(11_000)) + deep)
    begin = plain[12 : plain.index(b"ANMF")]
    for content, said in (
        (begin + deep, "a frame within a frame"),
        (begin + frame * 2 + riff(b"ALPH", b"") * 10**6, ""),
    ):
        data = head[:4] + struct.pack("<I", 4 + len(content)) + head[8:] + content
        assert len(data) > 8_000_000
        found = subprocess.run(
            [sys.executable, "-c", NARROW], input=data, cwd=ROOT, capture_output=True, check=True, timeout=60
        )
        assert found.stdout.decode().strip() == (said or str(len(data)))


@pytest.mark.parametrize("form", ["PNG", "GIF", "WEBP"])
def test_what_is_cut_off_is_broken_wherever_it_is_cut(form: str) -> None:
    data = encoded(form)
    for length in range(8, len(data) - 2, 7):
        with pytest.raises(BrokenError):
            SAME[form](data[:length])
