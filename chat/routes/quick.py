"""The quick way of `GET /api/v1/unread`; what does not go well there is answered by the route in unread.py."""

from typing import Any, cast

from flask import Blueprint, Flask
from flask.blueprints import BlueprintSetupState

from chat.frames import Caller
from chat.shortcut import Answer, add_shortcut

__all__ = ["blueprint"]

blueprint = Blueprint("quick", __name__)


@blueprint.record_once
def _prepare(state: BlueprintSetupState) -> None:
    add_shortcut(cast("Flask", state.app), "/api/v1/unread", _counted)


def _counted(node: Any, caller: Caller, environ: dict[str, Any]) -> Answer:  # noqa: ARG001 (nothing else is asked)
    return Answer(node.tallies.answer(caller.user_id))
