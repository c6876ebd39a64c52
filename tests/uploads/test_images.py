"""Images decoded, turned, cleaned, with thumbnail and placeholder."""

from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageCms

from tests.uploads.pictures import animated, encoded, opened, picture, with_gps
from uploads.images import Picture, prepare, thumbnail
from uploads.survey import BadImageError, survey

EVIL = b"<html><script>alert(1)</script>"
PIXELS = 1_000_000
# Of a camera's own colours, which happen to be everybody's: it does not say so.
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
PROFILE = PROFILE.replace(b"sRGB", b"xRGB").replace(b"s\0R\0G\0B", b"x\0R\0G\0B")
RED, BLUE = (254, 0, 0), (0, 0, 254)


class Studio:
    """A folder in which images are prepared."""

    def __init__(self, folder: Path):
        self.source, self.target, self.small = folder / "source", folder / "target", folder / "small"

    def prepare(self, data: bytes, thumbnail_pixels: int = PIXELS) -> tuple[Picture, bytes]:
        self.source.write_bytes(data)
        frames = survey(self.source, PIXELS).frames
        made = prepare(self.source, self.target, self.small, frames, thumbnail_pixels)
        return made, self.target.read_bytes()


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(tmp_path)


def near(colour: Any, wanted: tuple[int, int, int]) -> bool:
    return all(abs(one - other) < 40 for one, other in zip(colour[:3], wanted, strict=True))


@pytest.mark.parametrize(
    ("form", "mime_type", "extension"),
    [
        ("JPEG", "image/jpeg", ".jpg"),
        ("PNG", "image/png", ".png"),
        ("GIF", "image/gif", ".gif"),
        ("WEBP", "image/webp", ".webp"),
    ],
)
def test_an_image_keeps_its_looks(studio: Studio, form: str, mime_type: str, extension: str) -> None:
    made, data = studio.prepare(encoded(form, 600, 400))
    assert made[:4] == (extension, mime_type, 600, 400)
    shown = opened(data).convert("RGB")
    assert near(shown.getpixel((10, 200)), RED)
    assert near(shown.getpixel((590, 200)), BLUE)


def test_the_thumbnail_is_a_small_jpeg_and_the_placeholder_a_tiny_address(studio: Studio) -> None:
    made, _ = studio.prepare(encoded("PNG", 960, 600))
    small = opened(studio.small.read_bytes())
    assert (small.format, small.size) == ("JPEG", (480, 300))
    kind, _, data = made.placeholder.partition(",")
    assert kind == "data:image/webp;base64"
    tiny = opened(b64decode(data))
    assert max(tiny.size) == 16
    assert near(tiny.convert("RGB").getpixel((1, 5)), RED)
    assert len(made.placeholder) < 400


def test_an_image_smaller_than_a_thumbnail_is_not_blown_up(studio: Studio) -> None:
    studio.prepare(encoded("PNG", 30, 20))
    assert opened(studio.small.read_bytes()).size == (30, 20)


def test_what_is_transparent_is_white_in_the_thumbnail(studio: Studio) -> None:
    _, data = studio.prepare(encoded("PNG", image=Image.new("RGBA", (40, 40), (255, 0, 0, 0))))
    assert opened(data).getpixel((1, 1)) == (255, 0, 0, 0)
    assert near(opened(studio.small.read_bytes()).getpixel((1, 1)), (255, 255, 255))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_every_mode_of_a_png_has_a_thumbnail(studio: Studio, mode: str) -> None:
    image = Image.new("I;16", (40, 40), 0xFFFF) if mode == "I;16" else picture(40, 40, mode)
    made, data = studio.prepare(encoded("PNG", image=image))
    assert made.placeholder
    assert opened(data).mode == image.mode
    if mode == "I;16":
        assert near(opened(studio.small.read_bytes()).getpixel((1, 1)), (255, 255, 255))


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_every_mode_of_a_jpeg_is_taken(studio: Studio, mode: str) -> None:
    _, data = studio.prepare(encoded("JPEG", image=picture(40, 40, mode)))
    assert opened(data).mode == ("L" if mode == "L" else "RGB")


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_a_photo_is_turned_upright_and_does_not_say_where_it_was_taken(studio: Studio, form: str) -> None:
    source = encoded(form, 60, 40, exif=with_gps(orientation=6))  # to be turned clockwise: red ends on top
    assert b"SECRET PLACE" in source
    made, data = studio.prepare(source)
    assert (made.width, made.height) == (40, 60)
    assert opened(data).size == (40, 60)
    assert near(opened(data).convert("RGB").getpixel((20, 4)), RED)
    assert opened(studio.small.read_bytes()).size == (40, 60)
    for kept in (data, studio.small.read_bytes()):
        assert b"SECRET PLACE" not in kept
        assert dict(opened(kept).getexif()) == {}


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP"])
def test_what_poses_as_something_else_besides_is_freed_of_it(studio: Studio, form: str) -> None:
    options = {"comment": EVIL} if form in ("JPEG", "GIF") else {"exif": b"Exif\0\0" + EVIL} if form == "WEBP" else {}
    source = encoded(form, **options) + b"PK\x03\x04" + EVIL
    _, data = studio.prepare(source)
    assert EVIL in source
    assert EVIL not in data
    assert b"PK\x03\x04" not in data
    assert EVIL not in studio.small.read_bytes()


def test_a_jpeg_is_freed_of_what_stands_between_its_picture_and_its_end(studio: Studio) -> None:
    plain = encoded("JPEG")
    _, data = studio.prepare(plain[:-2] + EVIL + plain[-2:])
    assert EVIL not in data


def test_colours_of_a_camera_become_those_that_every_screen_takes_for_granted(studio: Studio) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    made, data = studio.prepare(encoded("JPEG", icc_profile=profile))  # makes no sense, and is no reason to refuse
    assert made.width == 64
    assert "icc_profile" not in opened(data).info


@pytest.mark.parametrize("turned", [True, False])
@pytest.mark.parametrize("mode", ["P", "L", "RGB", "LA"])
def test_what_is_transparent_stays_so_when_it_is_encoded_anew(studio: Studio, mode: str, turned: bool) -> None:
    image = Image.new(mode, (40, 40), {"RGB": (9, 9, 9), "LA": (9, 0)}.get(mode, 9))
    if mode == "P":
        image.putpalette([shade for shade in range(256) for _ in range(3)])
    clear: dict[str, Any] = {"RGB": {"transparency": (9, 9, 9)}, "LA": {}}.get(mode, {"transparency": 9})
    anew: dict[str, Any] = {"exif": with_gps(orientation=6)} if turned else {"icc_profile": PROFILE}
    _, data = studio.prepare(encoded("PNG", image=image, **clear, **anew))
    assert opened(data).convert("RGBA").getpixel((20, 20))[3] == 0  # type: ignore[index]
    assert near(opened(studio.small.read_bytes()).getpixel((20, 20)), (255, 255, 255))


def test_sixteen_bits_keep_their_brightness_when_they_are_encoded_anew(studio: Studio) -> None:
    image = Image.new("I;16", (40, 40), 0x8000)
    for options in ({"icc_profile": PROFILE}, {"exif": with_gps(orientation=6)}):
        _, data = studio.prepare(encoded("PNG", image=image, **options))
        kept = opened(data)
        assert kept.getpixel((20, 20)) == 0x8000 or near(kept.convert("RGB").getpixel((20, 20)), (128, 128, 128))
        assert near(opened(studio.small.read_bytes()).getpixel((20, 20)), (128, 128, 128))


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG"])
def test_an_animation_is_kept(studio: Studio, form: str) -> None:
    _, data = studio.prepare(animated(form))
    assert opened(data).n_frames == 3  # type: ignore[attr-defined]


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP"])
def test_a_file_that_was_cut_is_refused(studio: Studio, form: str) -> None:
    data = encoded(form, image=Image.effect_noise((200, 200), 50).convert("RGB"))
    for part in (0.1, 0.5, 0.9):
        with pytest.raises(BadImageError):
            studio.prepare(data[: int(len(data) * part)])


@pytest.mark.parametrize("data", [b"\xff\xd8\xff" + b"\0" * 100, b"GIF89a", EVIL, b"%!PS-Adobe-3.0 EPSF-3.0\n", b""])
def test_what_is_no_image_is_refused(studio: Studio, data: bytes) -> None:
    with pytest.raises(BadImageError):
        studio.prepare(data)


def test_the_thumbnail_of_a_large_image_is_left_for_later(studio: Studio) -> None:
    made, data = studio.prepare(encoded("JPEG", 1_000, 800), thumbnail_pixels=799_999)
    assert (made.width, made.placeholder) == (1_000, "")
    assert not studio.small.exists()
    placeholder = thumbnail(studio.target, studio.small)
    assert opened(studio.small.read_bytes()).size == (480, 384)
    assert placeholder.startswith("data:image/webp;base64,")
    again, _ = studio.prepare(data)
    assert again.placeholder
    studio.source.write_bytes(b"nothing")
    with pytest.raises(BadImageError):
        thumbnail(studio.source, studio.small)


def test_nothing_can_be_written_is_the_disks_word_and_not_the_images(studio: Studio) -> None:
    studio.source.write_bytes(encoded())
    with pytest.raises(OSError, match="No space left"):
        prepare(studio.source, Path("/dev/full"), studio.small, 1, PIXELS)
