"""Page cursors of lists: where the last page ended, in a form that is opaque to clients.

A list answers `{…, "nextCursor": text or null}` and takes `?cursor=`. The cursor holds the sort key of the last row, so
a page costs the same wherever it stands and rows that come or go shift nothing. It proves nothing: what it may show is
checked as without it.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import orjson

from chat.errors import ChatError

__all__ = ["LIST_DEFAULT", "LIST_MOST", "page_cursor", "read_page_cursor"]

LIST_DEFAULT = 50  # rows of a page: two screens
LIST_MOST = 100  # rows of a page at most: the answer stays below 100 kB
CURSOR_CHARACTERS = 1_024  # a sort key of 200 characters of 4 bytes in base64


def page_cursor(*key: Any) -> str:
    """Return the cursor of the page that starts after the row with this sort key (plain JSON values)."""
    return urlsafe_b64encode(orjson.dumps(key)).rstrip(b"=").decode()


def read_page_cursor(cursor: str, *kinds: type) -> tuple[Any, ...]:
    """Return the sort key of a cursor, whose values must be of these types. Raises ChatError invalid."""
    try:
        if len(cursor) > CURSOR_CHARACTERS:
            raise ValueError
        key = orjson.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except ValueError as error:
        raise _refused() from error
    if type(key) is not list or [type(value) for value in key] != list(kinds):
        raise _refused()
    if any("\0" in value if type(value) is str else type(value) is int and abs(value) >= 2**63 for value in key):
        raise _refused()
    return tuple(key)


def _refused() -> ChatError:
    return ChatError("invalid", details={"cursor": ["Not a cursor of this list."]})
