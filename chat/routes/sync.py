"""`/sync`: what a client lacks of the conversations that it holds."""

from flask import Blueprint, Response

from chat.answers import SyncAnswerSchema
from chat.rest import describe, run_verb, sent

__all__ = ["blueprint"]

blueprint = Blueprint("sync", __name__, url_prefix="/api/v1")


@blueprint.post("/sync")
@describe("Get what is missing of up to 100 conversations.", verb="sync", response=SyncAnswerSchema)
def sync() -> Response:
    """Answer the state of each conversation asked for."""
    return run_verb("sync", sent())
