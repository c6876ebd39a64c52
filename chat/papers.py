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

Every refusal, at every door, has one of these codes: `{"error": {"code", "message", "details"?, "retryAfter"?}}` with
the HTTP status over REST, `{"re", "error": {…}}` on a WebSocket. `code` never changes; `message` is a sentence for
people; `details` says what was wrong, with `invalid` mostly as `{field: [sentences]}`; `retryAfter` is in seconds, and
in the header `Retry-After` too. A proxy on the way may answer 413, 502, 503 or 504 with a page of its own: take these
as `too_large` and `unavailable`. Made from `chat/errors.py` by `flask --app app docs`.

**May it have happened?** *No*: nothing was changed, and asking again is safe. *Perhaps*: the outcome is not known, not
even to us. Ask again with the same `localId` (or `Idempotency-Key`): that never does a thing twice, and tells what
became of it. The same holds for a command whose answer never came because the connection broke.

**Ask again?** Where it says *no*, the same request is refused again until something else has changed.

| code | HTTP | what it means | may it have happened? | ask again? |
| --- | --- | --- | --- | --- |
"""
ENDS_HEAD = """
## Why a session ends

The last event of a session is `bye {code, reason, cursor?, retryAfter?}`; a WebSocket then closes with the number, SSE
ends, a chain of polls begins anew with the next poll. Who comes back does so after `retryAfter` with jitter, and with
the `cursor` of `bye`, or, where it has none, with the last one seen. `left` and `lost` are said to nobody: the client
is gone.

| code in `bye` | close number | what happened | come back? |
| --- | --- | --- | --- |
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
    return f"| `{reason.code}` | {reason.number} | {_cell(reason.message)} | {'yes' if reason.come_back else 'no'} |\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
