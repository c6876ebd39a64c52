"""What decoding an image will take, told from its head, and held to."""

import io
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from PIL import Image

from tests.uploads.pictures import animated, bomb, encoded, with_gps
from uploads.survey import BadImageError, Survey, TooManyPixelsError, damage_told, survey

ROOT = Path(__file__).resolve().parents[2]
MOST = 6_000_000
BYTES = 13  # a pixel of MOST, at most: 12, and what is read of the file
PEAK = """
import sys
from pathlib import Path
from uploads.images import prepare, thumbnail
from uploads.survey import survey

def peak():
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) * 1024

folder, most = Path(sys.argv[1]), int(sys.argv[2])
before = peak()
found = survey(folder / "source", most)
prepare(folder / "source", folder / "target", folder / "small", found.frames, 0)
thumbnail(folder / "target", folder / "small")
print(peak() - before)
"""


def surveyed(folder: Path, data: bytes, most: int = MOST) -> Survey:
    (folder / "source").write_bytes(data)
    return survey(folder / "source", most)


def large(form: str, mode: str, parts: int = 1, **options: Any) -> bytes:
    side = int((MOST / parts) ** 0.5)
    return encoded(form, image=Image.new(mode, (side, side)), **options)


def moving(form: str, **options: Any) -> bytes:
    side = int((MOST / 12) ** 0.5)
    pictures = [Image.effect_noise((side, side), 50 * place).convert("RGBA") for place in range(4)]
    return encoded(form, image=pictures[0], save_all=True, append_images=pictures[1:], **options)


@pytest.mark.parametrize(("form", "parts"), [("JPEG", 1), ("PNG", 1), ("GIF", 1), ("WEBP", 3)], ids=str)
def test_a_format_has_the_pixels_for_which_there_is_memory(tmp_path: Path, form: str, parts: int) -> None:
    data = encoded(form, 100, 60)
    assert surveyed(tmp_path, data, 6_000 * parts) == Survey(1, 6_000 * parts)
    with pytest.raises(TooManyPixelsError) as refused:
        surveyed(tmp_path, data, 6_000 * parts - 1)
    assert refused.value.most == (6_000 * parts - 1) // parts


@pytest.mark.parametrize("form", ["PNG", "GIF", "WEBP"])
def test_what_moves_has_fewer(tmp_path: Path, form: str) -> None:
    data = animated(form, 3, (40, 30))
    assert surveyed(tmp_path, data, 12 * 1_200) == Survey(3, 3_600)
    with pytest.raises(TooManyPixelsError):
        surveyed(tmp_path, data, 12 * 1_200 - 1)


@pytest.mark.parametrize(
    "data",
    [
        large("JPEG", "CMYK", progressive=True, subsampling=0, exif=with_gps(6)),
        large("PNG", "RGBA", exif=with_gps(6)),
        large("PNG", "LA"),
        large("PNG", "I;16"),
        large("GIF", "P", transparency=0),
        large("WEBP", "RGBA", 3.0, exif=with_gps(6), method=0),
        moving("WEBP", lossless=True, method=0),
        moving("GIF", disposal=2),
        moving("PNG", disposal=2, blend=1),
    ],
    ids=lambda data: f"{data[:4]!r} {len(data)}",
)
def test_no_image_that_is_taken_takes_more_memory_than_is_said(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "source").write_bytes(data)
    found = subprocess.run(
        [sys.executable, "-c", PEAK, str(tmp_path), str(MOST)], cwd=ROOT, capture_output=True, check=True, timeout=60
    )
    assert int(found.stdout) < BYTES * MOST + 10_000_000


def test_a_bomb_is_refused_by_its_head_alone(tmp_path: Path) -> None:
    for size in ((50_000, 50_000), (10_000, 5_001)):
        with pytest.raises(TooManyPixelsError):
            surveyed(tmp_path, bomb(*size), 50_000_000)


def test_a_frame_beyond_the_edge_of_its_gif_counts_with_what_it_covers(tmp_path: Path) -> None:
    data = animated("GIF", 3, (40, 30))
    place = data.rindex(b"\x2c\0\0\0\0" + struct.pack("<HH", 40, 30))
    hidden = data[: place + 1] + struct.pack("<HHHH", 9_000, 9_000, 40, 30) + data[place + 9 :]
    with pytest.raises(TooManyPixelsError, match="9040 × 9030"):
        surveyed(tmp_path, hidden)


def test_frames_are_counted_as_pixels(tmp_path: Path) -> None:
    data = animated("GIF", 50, (10, 10))
    assert surveyed(tmp_path, data, 1_250).work == 5_000
    with pytest.raises(TooManyPixelsError):
        surveyed(tmp_path, data, 1_249)


def test_an_animation_without_end_is_refused(tmp_path: Path) -> None:
    two, three = animated("GIF", 2, (2, 2)), animated("GIF", 3, (2, 2))
    frame = three[len(two) - 1 : -1]
    assert three == two[:-1] + frame + b";"
    assert surveyed(tmp_path, two[:-1] + frame * 998 + b";").frames == 1_000
    with pytest.raises(TooManyPixelsError):
        surveyed(tmp_path, two[:-1] + frame * 999 + b";")


@pytest.mark.parametrize("form", ["AVIF", "TIFF", "BMP", "PPM", "EPS", "ICO"])
def test_no_other_format_is_an_image(tmp_path: Path, form: str) -> None:
    with pytest.raises(BadImageError):
        surveyed(tmp_path, encoded(form))


@pytest.mark.parametrize("passing", [MemoryError(), SoftTimeLimitExceeded(), OSError(24, "Too many open files")])
def test_what_is_not_the_images_fault_is_not_laid_at_its_door(passing: Exception) -> None:
    with pytest.raises(type(passing)), damage_told():
        raise passing


@pytest.mark.parametrize("damage", [OSError("image file is truncated"), SyntaxError(), ZeroDivisionError(), EOFError()])
def test_whatever_else_a_decoder_raises_is_damage(damage: Exception) -> None:
    with pytest.raises(BadImageError), damage_told():
        raise damage


def test_pictures_for_tests_are_what_they_say() -> None:
    with pytest.raises(Image.DecompressionBombError):
        Image.open(io.BytesIO(bomb()))
