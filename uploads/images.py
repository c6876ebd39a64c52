"""Images: really decoded, turned upright, freed of everything but the picture, with a thumbnail and a placeholder.

A JPEG is encoded anew with its own tables; the others are rebuilt from the blocks that show them (blocks.py), for their
encoders are slow, and encoded anew only if they lie on their side or have colours of their own. Knows no event loop:
it runs in the workshop's threads and in Celery. All blocks, and takes the memory that survey.py bounds.
"""

import io
from base64 import b64encode
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image, ImageCms, ImageOps, JpegImagePlugin

from uploads.blocks import REBUILD
from uploads.survey import FORMATS, damage_told

__all__ = ["Picture", "prepare", "thumbnail"]

THUMBNAIL_SIDE = 480  # pixels: a bubble of 240 on a fine screen
THUMBNAIL_QUALITY = 78
PLACEHOLDER_SIDE = 16  # pixels: 150 bytes that stand in every message
QUALITY = 90  # of what is encoded anew without tables of its own
ORIENTATION = 0x0112  # EXIF's
EXTENSIONS = {"JPEG": ".jpg", "PNG": ".png", "GIF": ".gif", "WEBP": ".webp"}


class Picture(NamedTuple):
    """A prepared image. `placeholder` is empty where the thumbnail was left to be made later."""

    extension: str
    mime_type: str
    width: int
    height: int
    placeholder: str


def prepare(source: Path, target: Path, thumbnail_target: Path, frames: int, thumbnail_pixels: int) -> Picture:
    """Write what of an image may be shown to `target`, and up to `thumbnail_pixels` a thumbnail.

    `frames`: as `survey` counted them; what it refuses must not come here. Raises BadImageError; OSError with a number,
    MemoryError if the machine and not the image is at fault.
    """
    with damage_told(), Image.open(source, formats=FORMATS) as image:
        frames = _decode(image, frames)
        name, upright = _clean(image, source, target, frames)
        small = _small(upright) if image.width * image.height <= thumbnail_pixels else None
    placeholder = _write_thumbnail(small, thumbnail_target) if small is not None else ""
    return Picture(EXTENSIONS[name], f"image/{name.lower()}", *upright.size, placeholder)


def thumbnail(source: Path, target: Path) -> str:
    """Write the thumbnail of an image that was prepared before, and return its placeholder. Raises as `prepare`."""
    with damage_told(), Image.open(source, formats=FORMATS) as image:
        image.draft("RGB", (2 * THUMBNAIL_SIDE, 2 * THUMBNAIL_SIDE))  # a JPEG is decoded at an eighth of its size
        small = _small(image)
    return _write_thumbnail(small, target)


def _decode(image: Image.Image, most: int) -> int:
    """Decode up to so many frames and return how many there are. The first stays loaded."""
    image.load()
    frames = 1
    while frames < most:
        try:
            image.seek(frames)
        except EOFError:
            break
        frames += 1
        image.load()
    if frames > 1:
        image.seek(0)
        image.load()
    return frames


def _clean(image: Image.Image, source: Path, target: Path, frames: int) -> tuple[str, Image.Image]:
    """Write what is to be kept; return the format's name, and the picture as it is seen."""
    name = image.format if image.format in REBUILD else "JPEG"
    turned, foreign = _is_turned(image), _has_own_colours(image)
    if name in REBUILD and (frames > 1 or not (turned or foreign)):
        target.write_bytes(REBUILD[name](source.read_bytes()))
        return name, image
    if turned:
        ImageOps.exif_transpose(image, in_place=True)  # so that it is there twice for a moment only
    upright = _in_common_colours(image) if foreign else _with_transparency(image)
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
    plain = _with_transparency(_without_lower_bits(image))
    if plain.mode not in ("RGB", "RGBA", "CMYK", "L"):
        plain = plain.convert("RGBA" if plain.has_transparency_data else "RGB")
    mode = "RGBA" if plain.mode == "RGBA" else "RGB"
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        common = ImageCms.createProfile("sRGB")
        done = ImageCms.profileToProfile(plain, profile, common, outputMode=mode, inPlace=plain.mode == mode)
    except (ImageCms.PyCMSError, ValueError):
        return plain
    return plain if done is None else done


def _with_transparency(image: Image.Image) -> Image.Image:
    """Return the picture with its transparency in its pixels, and not beside them, where it is lost."""
    return image.convert("RGBA") if "transparency" in image.info else image


def _without_lower_bits(image: Image.Image) -> Image.Image:
    if not image.mode.startswith("I"):
        return image
    return image.convert("I").point(lambda value: value / 256).convert("L")  # of 16 bits, the upper ones are seen


def _small(image: Image.Image) -> Image.Image:
    """Return the picture as a thumbnail: RGB, on white where it is transparent."""
    shown = _without_lower_bits(image)
    if shown.mode not in ("RGB", "RGBA", "L"):
        shown = shown.convert("RGBA")
    scale = max(1.0, max(shown.size) / THUMBNAIL_SIDE)
    size = max(1, round(shown.width / scale)), max(1, round(shown.height / scale))
    small = shown.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)
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
