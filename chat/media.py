"""Uploads as the core knows them: kept, looked up, and shown to those only who may see them.

An upload may be seen by who made it, and by the members of a conversation with an entry that uses it, if they see that
entry. The files lie in uploads/; here are their rows.
"""

import re
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Row

from chat.transaction import Transaction

__all__ = [
    "Attachment", "Upload", "attachment", "data_of", "keep", "path_of", "stored", "thumbnail_path_of", "unused",
    "with_thumbnail",
]  # fmt: skip

NAME = re.compile(r"[0-9a-f]{32}")
IMAGE = "image"


class Upload(NamedTuple):
    """An upload to be kept. `name` is its id on the wire; `thumbnail`: none, pending or ready."""

    name: str
    kind: str
    mime_type: str
    extension: str
    size: int
    file_name: str
    width: int = 0
    height: int = 0
    placeholder: str = ""
    thumbnail: str = "none"


class Attachment(NamedTuple):
    """An upload that a message will use. `data`: the encoded JSON of the message's `media`, its addresses unsigned."""

    number: int
    kind: str
    data: str
    file_name: str


def keep(tx: Transaction, owner_id: int, upload: Upload) -> str:
    """Write an upload down and return the encoded JSON of its `media`, addresses unsigned."""
    data = data_of(upload)
    values = upload._asdict() | {"owner": owner_id, "data": data, "owing": upload.thumbnail == "pending"}
    tx.execute(KEEP, values)
    return data


def data_of(upload: Upload) -> str:
    """Return the encoded JSON of an upload's `media`, addresses unsigned and first (see chat/media_address.py)."""
    data: dict[str, Any] = {
        "id": upload.name,
        "kind": upload.kind,
        "url": path_of(upload.kind, upload.name, upload.extension),
    }
    if upload.thumbnail == "ready":
        data["thumbnailUrl"] = thumbnail_path_of(upload.name)
    if upload.width:
        data |= {"width": upload.width, "height": upload.height}
    if upload.placeholder:
        data["placeholder"] = upload.placeholder
    data |= {"size": upload.size, "mimeType": upload.mime_type}
    if upload.kind != IMAGE:
        data["name"] = upload.file_name
    return orjson.dumps(data).decode()


def with_thumbnail(data: str, placeholder: str) -> str:
    """Return the JSON of an image's `media` with its thumbnail, which was made after it."""
    held = orjson.loads(data)
    first = {name: held[name] for name in ("id", "kind", "url")}
    late = {"thumbnailUrl": thumbnail_path_of(held["id"]), **{name: held[name] for name in held if name not in first}}
    sizes = {name: late.pop(name) for name in ("size", "mimeType")}
    return orjson.dumps({**first, **late, "placeholder": placeholder, **sizes}).decode()


def path_of(kind: str, name: str, extension: str) -> str:
    """Return the path at which an upload is served."""
    return f"/uploads/{'images' if kind == IMAGE else 'file'}/{name}{extension}"


def thumbnail_path_of(name: str) -> str:
    """Return the path at which an image's thumbnail is served."""
    return f"/uploads/images/thumbnails/{name}_thumb.jpg"


def attachment(tx: Transaction, user_id: int, name: str) -> Attachment | None:
    """Return an upload that a user may send; None if there is none that they may see."""
    row = stored(tx, name, user_id)
    return None if row is None else Attachment(row.id, row.kind, row.data, row.file_name)


def stored(tx: Transaction, name: str, user_id: int | None) -> Row[Any] | None:
    """Return the row of an upload that this user may see; `user_id` None: whoever, the address was signed."""
    if NAME.fullmatch(name) is None:
        return None
    if user_id is None:
        return tx.execute(STORED, {"name": name}).first()
    return tx.execute(VISIBLE, {"name": name, "user": user_id}).first()


def unused(tx: Transaction, owner_id: int) -> int:
    """Return how many bytes of a user's uploads no message uses yet."""
    return int(tx.execute(UNUSED, {"owner": owner_id}).scalar_one())


KEEP = """
INSERT INTO media (name, owner_id, kind, mime_type, extension, size, file_name, thumbnail, data, look_at)
VALUES (:name, :owner, :kind, :mime_type, :extension, :size, :file_name, :thumbnail, :data,
        CASE WHEN :owing THEN now() + interval '30 seconds' END)
"""
STORED = """
SELECT f.id, f.name, f.kind, f.mime_type, f.extension, f.size, f.file_name, f.thumbnail, f.data
FROM media f WHERE f.name = :name
"""
# What was recalled, or is gone by retention, shows its upload no more.
VISIBLE = f"""
{STORED} AND (f.owner_id = :user OR EXISTS (
    SELECT FROM media_uses u
    JOIN memberships m ON m.conversation_id = u.conversation_id AND m.user_id = :user
    JOIN conversation_heads h ON h.conversation_id = u.conversation_id
    JOIN entries e ON e.conversation_id = u.conversation_id AND e.seq = u.seq
    WHERE u.media_id = f.id AND m.left_seq IS NULL AND u.seq > m.visible_from AND u.seq >= h.first_seq
      AND e.recalled_at IS NULL))
"""
# `used` comes some minutes after an upload's first use (tasks/orphans.py): it says which rows need not be looked at.
UNUSED = """
SELECT coalesce(sum(f.size), 0) FROM media f
WHERE f.owner_id = :owner AND NOT f.used AND NOT EXISTS (SELECT FROM media_uses u WHERE u.media_id = f.id)
"""
