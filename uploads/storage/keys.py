"""Keys of stored files: `area/name`, where the name begins with two signs that spread them evenly. Pure."""

__all__ = ["AREAS", "FILES", "IMAGES", "SHARDS", "THUMBNAILS", "key_of", "thumbnail_key_of"]

IMAGES, THUMBNAILS, FILES = "images", "thumbnails", "file"
AREAS = (IMAGES, THUMBNAILS, FILES)
SHARDS = [f"{number:02x}" for number in range(256)]


def key_of(kind: str, name: str, extension: str) -> str:
    """Return the key of an upload's file."""
    return f"{IMAGES if kind == 'image' else FILES}/{name}{extension}"


def thumbnail_key_of(name: str) -> str:
    """Return the key of an image's thumbnail."""
    return f"{THUMBNAILS}/{name}_thumb.jpg"
