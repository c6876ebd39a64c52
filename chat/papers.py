"""The documents in docs/ that are made from the code: every setting, every error code. A test holds docs/ to it."""

from typing import Any

from chat.config import SETTINGS, Setting
from chat.errors import CODES, CloseReason, Code

__all__ = ["papers"]

SETTINGS_HEAD = """# Settings

Read from the environment and checked at the start. Made from `chat/config.py` by `flask --app app docs`.

| setting | default | what it is, and why |
| --- | --- | --- |
"""
ERRORS_HEAD = """# Errors

Every refusal, at every door, has one of these codes: `{"error": {"code", "message", "details"?, "retryAfter"?}}` over
REST, `{"re", "error": {…}}` on a live connection. `retryAfter` is in seconds. Made from `chat/errors.py` by
`flask --app app docs`.

*May it have happened?* Where it says perhaps, the answer was lost on our side, not the outcome: ask again with the same
`localId` (or `Idempotency-Key`), which never does a thing twice.

| code | HTTP | what it means | may it have happened? | ask again? |
| --- | --- | --- | --- | --- |
"""
ENDS_HEAD = """
## Why a session ends

The last event of a session is `bye {code, reason, cursor, retryAfter}`; a WebSocket then closes with the number. Who
comes back does so with the cursor, after a pause with jitter.

| code in `bye` | close number | come back? |
| --- | --- | --- |
"""


def papers() -> dict[str, str]:
    """Return the documents by file name."""
    settings = SETTINGS_HEAD + "".join(_setting(setting) for setting in SETTINGS)
    errors = ERRORS_HEAD + "".join(_code(code) for code in CODES.values())
    ends = ENDS_HEAD + "".join(_end(reason) for reason in CloseReason)
    return {"settings.md": settings, "errors.md": errors + ends}


def _setting(setting: Setting) -> str:
    return f"| `{setting.name}` | {_default(setting.default)} | {_cell(setting.reason)} |\n"


def _default(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"`{value}`" if value or value == 0 else "none"


def _code(code: Code) -> str:
    happened = "perhaps" if code.happened else "no"
    return f"| `{code.name}` | {code.status} | {_cell(code.message)} | {happened} | {_cell(code.retry)} |\n"


def _end(reason: CloseReason) -> str:
    return f"| `{reason.code}` | {reason.number} | {'yes' if reason.come_back else 'no'} |\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
