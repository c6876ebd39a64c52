"""Images: really decoded, turned upright, freed of everything but the picture, with a thumbnail and a placeholder.

A JPEG is encoded anew with its own tables; the others are rebuilt from the blocks that show them (blocks.py), for their
encoders are slow, and encoded anew only if they lie on their side or have colours of their own. Knows no event loop:
it runs in the workshop's threads and in Celery. All blocks, and takes 4 bytes a pixel, twice when an image is turned.
"""

import io
import warnings
from base64 import b64encode
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image, ImageCms, ImageOps, JpegImagePlugin, features

from uploads.blocks import REBUILD

__all__ = ["BadImageError", "Picture", "TooManyPixelsError", "prepare", "thumbnail"]

THUMBNAIL_SIDE = 480  # pixels: a bubble of 240 on a fine screen
THUMBNAIL_QUALITY = 78
PLACEHOLDER_SIDE = 16  # pixels: 150 bytes that stand in every message
FRAMES = 1_000  # of an animation: half a minute
FRAME_PIXELS = 4  # times IMAGE_PIXELS that all frames together may have
QUALITY = 90  # of what is encoded anew without tables of its own
ORIENTATION = 0x0112  # EXIF's
EXTENSIONS = {"JPEG": ".jpg", "PNG": ".png", "GIF": ".gif", "WEBP": ".webp"}
FORMATS = [name for name in ("JPEG", "PNG", "GIF", "WEBP", "AVIF") if name != "AVIF" or features.check("avif")]

# Pillow's own guard stands behind ours, in case that a plugin looks at pixels while it opens a file.
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)


class BadImageError(ValueError):
    """The file says that it is an image and cannot be decoded."""


class TooManyPixelsError(ValueError):
    """The image, or all its frames together, is larger than allowed."""


class Picture(NamedTuple):
    """A prepared image. `placeholder` is empty where the thumbnail was left to be made later."""

    extension: str
    mime_type: str
    width: int
    height: int
    placeholder: str


def prepare(source: Path, target: Path, thumbnail_target: Path, pixels: int, thumbnail_pixels: int) -> Picture:
    """Write what of an image may be shown to `target`, and up to `thumbnail_pixels` a thumbnail.

    Nothing is decoded of an image with more than `pixels`. Raises BadImageError or TooManyPixelsError; OSError only if
    nothing can be written.
    """
    try:
        with _opened(source, pixels) as image:
            frames = _decode(image, pixels)
            name, upright = _clean(image, source, target, frames)
            small = _small(upright) if image.width * image.height <= thumbnail_pixels else None
    except TooManyPixelsError:
        raise
    except Exception as error:  # a hostile file may make a decoder raise anything
        if isinstance(error, OSError) and error.errno:
            raise  # the system's word, and not Pillow's
        raise BadImageError(str(error)) from error
    placeholder = _write_thumbnail(small, thumbnail_target) if small is not None else ""
    return Picture(EXTENSIONS[name], f"image/{name.lower()}", *upright.size, placeholder)


def thumbnail(source: Path, target: Path) -> str:
    """Write the thumbnail of an image that was prepared before, and return its placeholder. Raises BadImageError."""
    try:
        with Image.open(source, formats=FORMATS) as image:
            image.draft("RGB", (2 * THUMBNAIL_SIDE, 2 * THUMBNAIL_SIDE))  # a JPEG is decoded at an eighth of its size
            small = _small(image)
    except Exception as error:
        raise BadImageError(str(error)) from error
    return _write_thumbnail(small, target)


def _opened(source: Path, pixels: int) -> Image.Image:
    try:
        image = Image.open(source, formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise TooManyPixelsError(str(error)) from error
    if image.width * image.height > pixels:
        image.close()
        raise TooManyPixelsError(f"{image.width} × {image.height}")
    return image


def _decode(image: Image.Image, pixels: int) -> int:
    """Decode every frame and return how many there are; a single one for what cannot move. The first stays loaded."""
    image.load()
    if image.format not in REBUILD:
        return 1
    frames, most = 1, min(FRAMES, FRAME_PIXELS * pixels // (image.width * image.height))
    while True:
        try:
            image.seek(frames)
        except EOFError:
            break
        frames += 1
        if frames > most:
            raise TooManyPixelsError(f"more than {most} frames of {image.width} × {image.height}")
        image.load()
    if frames > 1:
        image.seek(0)
        image.load()
    return frames


def _clean(image: Image.Image, source: Path, target: Path, frames: int) -> tuple[str, Image.Image]:
    """Write what is to be kept; return the format's name, and the picture as it is seen."""
    name = image.format or ""
    turned = _is_turned(image)
    if name in REBUILD and (frames > 1 or not (turned or _has_own_colours(image))):
        target.write_bytes(REBUILD[name](source.read_bytes()))
        return name, image
    upright = _in_common_colours(ImageOps.exif_transpose(image) if turned else image)
    if name not in REBUILD:
        name = "WEBP" if upright.has_transparency_data else "JPEG"
    _encode(upright, name, image, target)
    return name, upright


def _encode(upright: Image.Image, name: str, original: Image.Image, target: Path) -> None:
    """Write a picture to a file: to anything else Pillow writes without letting other threads run meanwhile."""
    upright.info = {}  # encoders take comments and profiles from here unasked
    options: dict[str, Any] = {"quality": QUALITY}
    if name == "JPEG":
        upright = upright if upright.mode in ("L", "RGB") else upright.convert("RGB")
        tables = getattr(original, "quantization", None)
        if tables and original.mode == upright.mode:
            options = {"qtables": tables, "subsampling": JpegImagePlugin.get_sampling(original)}
    upright.save(target, name, **(options if name != "PNG" else {}))


def _is_turned(image: Image.Image) -> bool:
    try:
        return image.getexif().get(ORIENTATION, 1) in range(2, 9)
    except Exception:  # noqa: BLE001 (metadata may hold anything; what makes no sense goes with the rest of it)
        return False


def _has_own_colours(image: Image.Image) -> bool:
    profile = image.info.get("icc_profile")
    return isinstance(profile, bytes) and b"sRGB" not in profile and b"s\0R\0G\0B" not in profile


def _in_common_colours(image: Image.Image) -> Image.Image:
    """Return the picture in sRGB, for its profile goes; one that makes no sense goes without being applied."""
    if not _has_own_colours(image):
        return image
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        mode = "RGBA" if image.has_transparency_data and image.mode != "CMYK" else "RGB"
        source = image if image.mode in ("RGB", "RGBA", "CMYK", "L") else image.convert(mode)
        done = ImageCms.profileToProfile(source, profile, ImageCms.createProfile("sRGB"), outputMode=mode)
    except (ImageCms.PyCMSError, ValueError):
        return image
    return done if done is not None else image


def _small(image: Image.Image) -> Image.Image:
    """Return the picture as a thumbnail: RGB, on white where it is transparent."""
    if image.mode.startswith("I"):  # 16 bits: the upper ones are what is seen
        image = image.convert("I").point(lambda value: value / 256).convert("L")
    small = image.copy() if image.mode in ("RGB", "L") else image.convert("RGBA")
    small.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), reducing_gap=2.0)
    if small.mode == "RGBA":
        ground = Image.new("RGBA", small.size, "white")
        small = Image.alpha_composite(ground, small)
    return small.convert("RGB")


def _write_thumbnail(small: Image.Image, target: Path) -> str:
    small.info = {}
    small.save(target, "JPEG", quality=THUMBNAIL_QUALITY)
    small.thumbnail((PLACEHOLDER_SIDE, PLACEHOLDER_SIDE))
    buffer = io.BytesIO()
    small.save(buffer, "WEBP", quality=40)
    return f"data:image/webp;base64,{b64encode(buffer.getvalue()).decode()}"
