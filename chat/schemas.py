"""The ground of every schema: camelCase on the wire, unknown fields ignored, only what can be kept is let through.

What the database could refuse (NUL, lone surrogates, numbers beyond 63 bits) is refused here, as `invalid` with the
field's name. A verb's own schema stands beside the verb, in commands/; shapes of answers that several share stand here.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields
from marshmallow.validate import Range

from chat.errors import ChatError
from chat.paging import LIST_DEFAULT, LIST_MOST
from chat.text import is_address, is_keepable, is_line

__all__ = [
    "Address",
    "CommaList",
    "DoneSchema",
    "LocalId",
    "Name",
    "PageSchema",
    "Password",
    "PersonSchema",
    "Text",
    "WholeNumber",
    "WireId",
    "WireSchema",
    "camel",
    "refusal",
]

LARGEST = 2**63 - 1
DIGITS = re.compile(r"-?[0-9]{1,19}")


def camel(name: str) -> str:
    """Return `member_ids` as `memberIds`."""
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def refusal(error: ValidationError) -> ChatError:
    """Return what a schema refused as `invalid` with `details` {field: [sentences]}; `ids.0`: the first of `ids`."""
    return ChatError("invalid", details=dict(_sentences("", error.messages)))


def _sentences(place: str, messages: Any) -> Iterator[tuple[str, list[str]]]:
    if isinstance(messages, dict):
        for name, inner in messages.items():
            yield from _sentences(f"{place}.{name}" if place else str(name), inner)
    else:
        yield place, [str(message) for message in messages]


class WireSchema(Schema):
    """Base of every schema: snake_case inside, camelCase on the wire, unknown fields ignored."""

    class Meta:
        """marshmallow's options."""

        unknown = EXCLUDE

    def on_bind_field(self, field_name: str, field_obj: fields.Field[Any]) -> None:
        """Give a field its name on the wire, where it has none of its own."""
        field_obj.data_key = field_obj.data_key or camel(field_name)


class Text(fields.String):
    """Text of `least` to `most` characters, no NUL, no lone surrogates; `strip`: blanks at the ends do not count."""

    default_error_messages = {  # noqa: RUF012 - marshmallow's own way
        "characters": "Holds characters that cannot be kept.",
        "short": "Must have at least {least} characters.",
        "long": "Must have at most {most} characters.",
    }

    def __init__(self, most: int, least: int = 0, *, strip: bool = False, **more: Any):
        super().__init__(**more)
        self.most, self.least, self.strip = most, least, strip
        self.metadata = {"minLength": least, "maxLength": most, **self.metadata}

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **more: Any) -> str:
        text: str = super()._deserialize(value, attr, data, **more)
        if self.strip:
            text = text.strip()
        if len(text) > self.most:
            raise self.make_error("long", most=self.most)
        if len(text) < self.least:
            raise self.make_error("short", least=self.least)
        if self.refuses(text):
            raise self.make_error("characters")
        return text

    def refuses(self, text: str) -> bool:
        """Tell whether some character cannot be kept."""
        return not is_keepable(text)


class Name(Text):
    """One line that is shown as a name: stripped, not empty, without control characters and overrides of direction."""

    def __init__(self, most: int, least: int = 1, **more: Any):
        super().__init__(most, least, strip=True, **more)

    def refuses(self, text: str) -> bool:
        """Tell whether some character would not stand on one line, or would turn the line around."""
        return not is_line(text)


class Address(Text):
    """The address of a picture: http(s), or a path of this server."""

    def __init__(self, **more: Any):
        super().__init__(2_048, 1, **more)

    def refuses(self, text: str) -> bool:
        """Tell whether it is no address."""
        return not is_address(text)


class Password(Text):
    """A password of 8 to 200 characters, brought to one form (NFC): two keyboards may write one letter in two ways."""

    def __init__(self, **more: Any):
        super().__init__(200, 8, **more)

    def refuses(self, text: str) -> bool:
        """Tell whether it holds what no keyboard writes."""
        return any(unicodedata.category(sign) in ("Cc", "Cs") for sign in text)

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **more: Any) -> str:
        return unicodedata.normalize("NFC", super()._deserialize(value, attr, data, **more))


class WireId(Text):
    """An id: text, or an integer, which is taken as its digits. Says nothing of whether the thing exists."""

    def __init__(self, **more: Any):
        super().__init__(64, 1, **more)

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **more: Any) -> str:
        return super()._deserialize(str(value) if type(value) is int else value, attr, data, **more)


class LocalId(Text):
    """A client's own id of a message or a creating command: 1 to 64 bytes."""

    def __init__(self, **more: Any):
        super().__init__(64, 1, **more)

    def refuses(self, text: str) -> bool:
        """Tell whether the id cannot be kept, or takes more than 64 bytes."""
        return super().refuses(text) or len(text.encode()) > 64


class WholeNumber(fields.Integer):
    """An integer from `least` to `most` (63 bits); in a query its digits."""

    def __init__(self, least: int = 0, most: int = LARGEST, **more: Any):
        super().__init__(strict=True, validate=Range(least, most), **more)

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **more: Any) -> int:
        if isinstance(value, str) and DIGITS.fullmatch(value):
            value = int(value)
        return super()._deserialize(value, attr, data, **more)


class CommaList(fields.List[Any]):
    """A list; in a query `a,b,c`. At most `most` entries, doubles left out."""

    default_error_messages = {"long": "Must have at most {most} entries."}  # noqa: RUF012

    def __init__(self, inner: fields.Field[Any], most: int, **more: Any):
        super().__init__(inner, **more)
        self.most = most
        self.metadata = {"maxItems": most, **self.metadata}

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **more: Any) -> list[Any]:
        if isinstance(value, str):
            value = [part for part in value.split(",") if part]
        if isinstance(value, list) and len(value) > self.most:
            raise self.make_error("long", most=self.most)
        return list(dict.fromkeys(super()._deserialize(value, attr, data, **more)))


class PageSchema(WireSchema):
    """What every paged list takes."""

    limit = WholeNumber(1, LIST_MOST, load_default=LIST_DEFAULT)
    cursor = Text(1_024, load_default="")


class PersonSchema(WireSchema):
    """A user as others see them."""

    id = fields.String(required=True)
    username = fields.String(allow_none=True)
    name = fields.String(required=True)
    avatar = fields.String(allow_none=True)
    status_text = fields.String(allow_none=True)
    online = fields.Boolean(required=True)
    last_seen_at = fields.String(allow_none=True)


class DoneSchema(WireSchema):
    """The answer of what has nothing else to say."""

    success = fields.Boolean(required=True)
