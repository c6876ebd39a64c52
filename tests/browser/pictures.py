"""Pictures and files as browsers hand them over, made here: no two are the same, so none is known to the server."""

import io
import os
from base64 import b64encode
from typing import Any

from PIL import Image
from playwright.sync_api import FilePayload, JSHandle, Page

__all__ = ["animation", "avif", "dragged", "file", "photo", "picture"]

DRAGGED = """files => {
    const transfer = new DataTransfer();
    for (const {name, mimeType, base64} of files) {
        const bytes = Uint8Array.from(atob(base64), letter => letter.charCodeAt(0));
        transfer.items.add(new File([bytes], name, {type: mimeType}));
    }
    return transfer;
}"""


def picture(width: int = 320, height: int = 200, name: str = "picture.png") -> FilePayload:
    """A PNG of one colour and some noise, a few kB."""
    image = Image.new("RGB", (width, height), tuple(os.urandom(3)))
    image.paste(Image.frombytes("RGB", (20, 20), os.urandom(1200)), (2, 2))
    return _payload(image, name, "PNG", "image/png")


def photo(width: int, height: int, name: str = "photo.png") -> FilePayload:
    """A PNG of noise: three bytes a pixel on the wire."""
    image = Image.frombytes("RGB", (width, height), os.urandom(3 * width * height))
    return _payload(image, name, "PNG", "image/png")


def animation(width: int, height: int, name: str = "animation.gif") -> FilePayload:
    """A GIF of two frames of noise: more than two bytes on the wire for what is one pixel on the screen."""
    first, second = (Image.frombytes("P", (width, height), os.urandom(width * height)) for _ in range(2))
    for frame in first, second:
        frame.putpalette(os.urandom(768))
    content = io.BytesIO()
    first.save(content, "GIF", save_all=True, append_images=[second])
    return {"name": name, "mimeType": "image/gif", "buffer": content.getvalue()}


def avif(name: str) -> FilePayload:
    """A picture that browsers show and the server keeps as a file."""
    return _payload(Image.new("RGB", (64, 48), tuple(os.urandom(3))), name, "AVIF", "image/avif")


def file(content: bytes, name: str, mime_type: str) -> FilePayload:
    return {"name": name, "mimeType": mime_type, "buffer": content}


def dragged(page: Page, *files: FilePayload) -> JSHandle:
    """Return a DataTransfer of the page that carries these files."""
    plain: list[dict[str, Any]] = [
        {"name": one["name"], "mimeType": one["mimeType"], "base64": b64encode(one["buffer"]).decode()} for one in files
    ]
    return page.evaluate_handle(DRAGGED, plain)


def _payload(image: Image.Image, name: str, kind: str, mime_type: str) -> FilePayload:
    content = io.BytesIO()
    image.save(content, kind)
    return {"name": name, "mimeType": mime_type, "buffer": content.getvalue()}
