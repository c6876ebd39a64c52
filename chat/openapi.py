"""OpenAPI of the REST routes, made from what `describe` says of each and from the schemas: it cannot drift."""

import re
import warnings
from collections import defaultdict
from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from flask import Flask
from marshmallow import Schema, fields
from werkzeug.routing import Rule

from chat.commands import verbs
from chat.errors import CODES
from chat.rest import BODYLESS, Operation
from chat.schemas import CommaList, WireSchema, camel

__all__ = ["PREFIX", "SchemaBook", "openapi"]

PREFIX = "/api/v1/"
VERSION = "1"  # of the protocol
ALWAYS = ("invalid", "internal", "overloaded")
VARIABLE = re.compile(r"<(?:[^:<>]+:)?(\w+)>")
JSON = "application/json"


class OneErrorSchema(WireSchema):
    """What went wrong. `retryAfter`: seconds; `details`: plain JSON."""

    code = fields.String(required=True)
    message = fields.String(required=True)
    details = fields.Raw()
    retry_after = fields.Float()


class ErrorSchema(WireSchema):
    """The one shape of every refusal."""

    error = fields.Nested(OneErrorSchema, required=True)


class SchemaBook:
    """Turns schemas into JSON Schema; nested ones are kept under their names and referred to."""

    def __init__(self, title: str, about: str):
        self._plugin = MarshmallowPlugin(schema_name_resolver=_name_of)
        more = {"info": {"description": about}, "servers": [{"url": "/"}]}
        self.spec = APISpec(title, VERSION, "3.1.0", [self._plugin], **more)

    def json_schema(self, schema: type[Schema], without: frozenset[str] = frozenset()) -> dict[str, Any]:
        """Return a schema written out, without some of its fields (names on the wire)."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # apispec warns of a schema that is written out and also referred to
            written = dict(self._plugin.converter.schema2jsonschema(schema()))
        properties = written.get("properties", {})
        written["properties"] = {name: properties[name] for name in properties if name not in without}
        required = [name for name in written.pop("required", []) if name not in without]
        about = " ".join((schema.__doc__ or "").split()) if schema is not WireSchema else ""
        return {**written, **({"required": required} if required else {}), **({"description": about} if about else {})}

    def referred(self) -> dict[str, Any]:
        """Return the schemas that were referred to, by name."""
        return dict(self.spec.to_dict().get("components", {}).get("schemas", {}))


def openapi(app: Flask) -> dict[str, Any]:
    """Return the OpenAPI document of an app's described routes."""
    book = SchemaBook("Chat server", "Live events and the same commands go over `/ws`: see `/asyncapi.json`.")
    scheme = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    book.spec.components.security_scheme("bearer", scheme)
    book.spec.components.schema("Error", schema=ErrorSchema)
    for rule in sorted(app.url_map.iter_rules(), key=str):
        operation = getattr(app.view_functions[rule.endpoint], "operation", None)
        if operation is not None:
            methods = {method.lower(): _operation(book, rule, operation, method) for method in _methods(rule)}
            book.spec.path(VARIABLE.sub(_braced, rule.rule), operations=methods)
    return dict(book.spec.to_dict())


def _operation(book: SchemaBook, rule: Rule, operation: Operation, method: str) -> dict[str, Any]:
    variables = [camel(name) for name in VARIABLE.findall(rule.rule)]
    said = frozenset([*variables, *operation.without])
    schema = verbs()[operation.verb].schema if operation.verb else operation.request
    written = book.json_schema(schema, said) if schema is not None else {"properties": {}}
    document: dict[str, Any] = {
        "operationId": rule.endpoint,
        "tags": [rule.endpoint.partition(".")[0]],
        "summary": operation.summary,
        "parameters": [_in_path(name) for name in variables],
        "responses": _responses(book, operation),
        "security": [{"bearer": []}] if _needs_token(operation) else [],
    }
    if method in BODYLESS:
        document["parameters"] += _in_query(schema, written)
    elif written["properties"]:
        carried = getattr(schema, "content_type", JSON)
        document["requestBody"] = {"content": {carried: {"schema": written}}, "required": bool(written.get("required"))}
    if operation.verb:
        document["description"] = f"The command `{operation.verb}` over REST."
    return document


def _needs_token(operation: Operation) -> bool:
    """Tell whether a token is needed: a carrier guards itself, and says so by the error."""
    return not operation.public or "not_authenticated" in operation.errors


def _responses(book: SchemaBook, operation: Operation) -> dict[str, Any]:
    success: dict[str, Any] = {"description": "Done."}
    if operation.response is not None:
        success["content"] = {JSON: {"schema": book.json_schema(operation.response)}}
    codes = [*ALWAYS, *operation.errors, *(() if operation.public else ("not_authenticated", "bad_token"))]
    by_status: dict[int, list[str]] = defaultdict(list)
    for code in dict.fromkeys(codes):
        by_status[CODES[code].status].append(f"`{code}`: {CODES[code].message}")
    refusals = {str(status): _refusal(said) for status, said in sorted(by_status.items())}
    return {str(operation.status): success, **refusals}


def _refusal(said: list[str]) -> dict[str, Any]:
    return {"description": " · ".join(said), "content": {JSON: {"schema": {"$ref": "#/components/schemas/Error"}}}}


def _in_path(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _in_query(schema: type[Schema] | None, written: dict[str, Any]) -> list[dict[str, Any]]:
    lists = {field.data_key for field in schema().fields.values() if isinstance(field, CommaList)} if schema else set()
    required = written.get("required", [])
    return [
        {
            "name": name,
            "in": "query",
            "required": name in required,
            "schema": as_,
            **({"style": "form", "explode": False} if name in lists else {}),
        }
        for name, as_ in written["properties"].items()
    ]


def _braced(found: re.Match[str]) -> str:
    return f"{{{camel(found[1])}}}"


def _methods(rule: Rule) -> list[str]:
    return sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})


def _name_of(schema: Any) -> str:
    cls = schema if isinstance(schema, type) else type(schema)
    return cls.__name__.removesuffix("Schema")
