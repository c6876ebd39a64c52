"""What decoding an image will take, told from its head, before a pixel is decoded: refused if it is too much.

The formats differ in what a pixel takes while it is decoded, and a picture that moves takes it again for each frame.
Knows no event loop, and blocks.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from celery.exceptions import SoftTimeLimitExceeded
from PIL import Image

from uploads.blocks import gif_extent

__all__ = ["FORMATS", "BadImageError", "Survey", "TooManyPixelsError", "damage_told", "survey"]

FRAMES = 1_000  # of an animation: half a minute
FRAME_PIXELS = 4  # times the bound that all frames together may have
# Into how many parts the bound is divided: it is what JPEG and PNG may have, which take up to 12 bytes a pixel. A WebP
# takes up to 26, for its decoder keeps it three times, and as many times as long to be encoded anew.
PARTS = {"WEBP": 3}
MOVING_PARTS = 12  # the same for what moves, 24 bytes a pixel: 4 million pixels are two screens full
MOVING = {"PNG", "WEBP"}  # besides GIF; of all others only the first picture is decoded
# No AVIF: its decoder takes the size from the frames, and not from the head, where a bomb can say what it likes.
FORMATS = ["JPEG", "PNG", "GIF", "WEBP"]

# Pillow's own guard stands behind ours, in case that a plugin looks at pixels while it opens a file.
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)


class BadImageError(ValueError):
    """The file says that it is an image and cannot be decoded."""


class TooManyPixelsError(ValueError):
    """The image, or all its frames together, is larger than allowed. `most`: pixels that it may have in all."""

    def __init__(self, said: str, most: int):
        self.most = most
        super().__init__(said)


class Survey(NamedTuple):
    """How many frames an image has. `work`: pixels of them all, those of a costly format counted several times."""

    frames: int
    work: int


def survey(source: Path, most: int) -> Survey:
    """Look at an image's head. `most`: pixels of a JPEG or PNG. Raises TooManyPixelsError, and as `damage_told`."""
    with damage_told(), _opened(source, most) as image:
        width, height, frames = _extent(image, source)
        parts = PARTS.get(image.format or "", 1)
    pixels, bound = width * height, most // (MOVING_PARTS if frames > 1 else parts)
    if pixels > bound:
        raise TooManyPixelsError(f"{width} × {height}", bound)
    if frames > FRAMES or frames * pixels > FRAME_PIXELS * most:
        raise TooManyPixelsError(f"{frames} frames of {width} × {height}", FRAME_PIXELS * most)
    return Survey(frames, pixels * max(frames, parts))


@contextmanager
def damage_told() -> Iterator[None]:
    """Turn whatever a decoder raises, and a hostile file may make it raise anything, into BadImageError.

    What is not the image's fault is left as it is: no memory, no time, and the system's word, an OSError with a number.
    """
    try:
        yield
    except (TooManyPixelsError, MemoryError, SoftTimeLimitExceeded):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno:
            raise
        raise BadImageError(str(error)) from error


def _opened(source: Path, most: int) -> Image.Image:
    try:
        return Image.open(source, formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise TooManyPixelsError(str(error), most) from error


def _extent(image: Image.Image, source: Path) -> tuple[int, int, int]:
    """Return width, height and number of frames."""
    if image.format == "GIF":  # whose frames may be larger than the whole, and then it grows
        return gif_extent(source.read_bytes())
    frames = getattr(image, "n_frames", 1) if image.format in MOVING else 1
    return image.width, image.height, frames
