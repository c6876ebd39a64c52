"""`POST /api/v1/uploads`, and the addresses at which uploads are served.

A signed address opens a file for everybody for a day or two, so that `<img>` works; a bare one only for those who may
see it. Both ask the database: what was deleted is gone at once.
"""

import re
import time
from typing import Any, cast

from flask import Blueprint, Flask, Response, current_app, request
from flask.blueprints import BlueprintSetupState
from marshmallow import fields
from werkzeug.exceptions import ClientDisconnected

from chat import media
from chat.answers import MediaSchema
from chat.errors import ChatError
from chat.media_address import is_signed, signed_media
from chat.rest import answer, caller, describe, idempotency_key, in_transaction
from chat.schemas import WireSchema
from uploads.intake import Body, Intake, storing
from uploads.places import Places
from uploads.serving import DOWNLOADS, Served, respond, sent_elsewhere, unchanged
from uploads.storage import key_of, storage_of, thumbnail_key_of
from uploads.workshop import Workshop

__all__ = ["blueprint"]

blueprint = Blueprint("uploads", __name__)
FORM = "multipart/form-data"
FILE = re.compile(r"([0-9a-f]{32})(\.[a-z0-9]{1,7})")
THUMBNAIL = re.compile(r"([0-9a-f]{32})_thumb\.jpg")
GUARDED = ("not_found", "not_authenticated", "bad_token", "rate_limited", "overloaded")
EXTENSION = "uploads"  # of the application


class UploadSchema(WireSchema):
    """A form with one file."""

    content_type = FORM
    media = fields.String(required=True, metadata={"format": "binary"})


class Service:
    """What the routes of one application share; it touches neither disk, storage nor database until it is used."""

    def __init__(self, config: Any, process: Any):
        self.storage = storage_of(config)
        self.workshop = Workshop()
        self.downloads = Places(DOWNLOADS, config["DOWNLOADS_PER_ADDRESS"], "downloads to one address")
        self._config, self._process = config, process
        self._intake: Intake | None = None

    def measure(self) -> None:
        """Let the numbers of this process be shown at /metrics, and whether the storage answers, as at /readyz."""
        self._process.storage_is_there = self.is_there
        gauge = self._process.metrics.gauge
        gauge("uploads", "Uploads under way.", lambda: self._intake.allowance.under_way if self._intake else 0)
        gauge("downloads", "Downloads under way.", lambda: self.downloads.taken)
        gauge("images_waiting", "Images that are looked at, or wait for it.", lambda: self.workshop.waiting)

    def is_there(self) -> bool:
        """Tell whether the storage answers, where there is one."""
        return self.storage is None or self.workshop.store(self.storage.is_there)

    @property
    def intake(self) -> Intake:
        """The way in. Raises ChatError overloaded where there is no storage for uploads."""
        if self.storage is None:
            raise ChatError("overloaded", "This server has no place for uploads (DATA_DIR).")
        if self._intake is None:
            self._intake = Intake(self._config, self.storage, self.workshop, self._process.engine, self._process)
        return self._intake


@blueprint.record_once
def _prepare(state: BlueprintSetupState) -> None:
    app = cast("Flask", state.app)
    app.extensions[EXTENSION] = Service(app.config, app.extensions["chat.node"])
    app.extensions[EXTENSION].measure()


@blueprint.post("/api/v1/uploads")
@describe(
    "Upload a file, to be sent by a message of type image or file (`mediaId`). Its type is told from its content; an "
    "image is turned upright and loses its metadata. Unsent, it is deleted after UPLOAD_UNUSED_HOURS. The same file "
    "under the same Idempotency-Key is one upload.",
    request=UploadSchema,
    response=MediaSchema,
    status=201,
    errors=("too_large", "unsupported_media", "rate_limited", "unavailable", "idempotency_conflict"),
)
def upload() -> Response:
    """Take an upload in."""
    if request.mimetype != FORM:
        raise ChatError("unsupported_media", f"The body must be a form ({FORM}).")
    boundary = request.mimetype_params.get("boundary", "")
    if not boundary or len(boundary) > 200 or not boundary.isascii():
        raise ChatError("invalid", "The form has no boundary.")
    body = Body(request.content_length, boundary, _read, request.remote_addr or "")
    data = _service().intake.take(caller(), body, idempotency_key())
    return answer(signed_media(data).encode())


def _read(most: int) -> bytes:
    try:
        return request.stream.read(most)
    except (OSError, ClientDisconnected) as error:
        raise ChatError("invalid", "The body ended early.") from error


@blueprint.get("/uploads/images/<file_name>")
@describe(
    "An image. Signed (`?e=&s=`), or with a token of who may see it. A signed one may be a 302 to where it lies.",
    public=True,
    errors=GUARDED,
)
def image(file_name: str) -> Response:
    """Serve an image."""
    return _serve("image", FILE.fullmatch(file_name))


@blueprint.get("/uploads/images/thumbnails/<file_name>")
@describe("An image's thumbnail; the image itself until it is made.", public=True, errors=GUARDED)
def thumbnail(file_name: str) -> Response:
    """Serve a thumbnail."""
    return _serve("image", THUMBNAIL.fullmatch(file_name), thumbnail=True)


@blueprint.get("/uploads/file/<file_name>")
@describe("Any other file, to be saved.", public=True, errors=GUARDED)
def file(file_name: str) -> Response:
    """Serve a file."""
    return _serve("file", FILE.fullmatch(file_name))


def _serve(kind: str, found: re.Match[str] | None, *, thumbnail: bool = False) -> Response:
    seconds = _signed_for()
    user_id = None if seconds else caller().user_id
    row = in_transaction(lambda tx: media.stored(tx, found[1], user_id)) if found else None
    if found is None or row is None or row.kind != kind or not (thumbnail or row.extension == found[2]):
        raise ChatError("not_found")
    small = thumbnail and row.thumbnail == "ready"
    key = thumbnail_key_of(row.name) if small else key_of(row.kind, row.name, row.extension)
    served = Served(
        "image/jpeg" if small else row.mime_type,
        f"{row.name}-t" if small else row.name,
        seconds if small == thumbnail else 0,  # a thumbnail still to come must not be kept as what it is not
        "" if kind == "image" else row.file_name,
    )
    return unchanged(served) or _handed_out(key, served)


def _handed_out(key: str, served: Served) -> Response:
    service = _service()
    if service.storage is None:
        raise ChatError("not_found")
    elsewhere = sent_elsewhere(service.storage, key, served)
    if elsewhere is not None:
        return elsewhere
    with storing():
        opened = service.workshop.store(service.storage.open, key)
    if opened is None:
        raise ChatError("not_found")
    return respond(opened, served, service.workshop, service.downloads)


def _signed_for() -> int:
    """Return for how many seconds the address is still good by its signature; 0 without a right one."""
    until, signature = request.args.get("e", ""), request.args.get("s", "")
    now = time.time()
    return int(int(until) - now) if is_signed(request.path, until, signature, now) else 0


def _service() -> Service:
    return cast("Service", current_app.extensions[EXTENSION])
