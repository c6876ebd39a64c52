"""The blueprints, one file per resource: each has a `blueprint` and is found by being here.

A route reads the request, runs a verb through the node, and answers. No rule and no SQL stands here.
"""

import pkgutil
from importlib import import_module

from flask import Blueprint

__all__ = ["blueprints"]


def blueprints() -> list[Blueprint]:
    """Return the blueprint of every module of this folder."""
    modules = (import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__))
    return [module.blueprint for module in modules if hasattr(module, "blueprint")]
