"""The verbs, one file each (or one per family): a schema and a handler of a few lines over a service.

A module is found by being here; it holds `Verb`s at module level. A verb is reachable from every door with no further
line elsewhere. May import schemas, services and errors, never Flask, a transport or the database.
"""

import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

from marshmallow import Schema

__all__ = ["Verb", "verbs"]


@dataclass(frozen=True, slots=True)
class Verb:
    """One command. `run(tx, caller, data)` returns the reply's data; `data`: what the schema loaded (snake_case).

    `direct` verbs change nothing in a transaction of their own (they go to the writer, the positions or presence):
    `run(node, caller, data)`. `cost` is in units of the connection's token bucket. `creates`: takes an Idempotency-Key.
    """

    name: str
    schema: type[Schema]
    run: Callable[[Any, Any, dict[str, Any]], Any]
    cost: float = 1.0
    direct: bool = False
    creates: bool = False


@cache
def verbs() -> dict[str, Verb]:
    """Return every verb of this folder by name."""
    found: dict[str, Verb] = {}
    for module in pkgutil.iter_modules(__path__):
        for value in vars(import_module(f"{__name__}.{module.name}")).values():
            if isinstance(value, Verb):
                found[value.name] = value
    return found
