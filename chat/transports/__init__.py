"""The carriers, one file each: they move the frames of one session and never look inside one.

A transport owns a socket (or a waiting request), gives bytes to its session and takes bytes from it. No SQL, no verbs.
"""

import pkgutil
from importlib import import_module

from flask import Flask

__all__ = ["mount_all"]


def mount_all(app: Flask) -> None:
    """Add every carrier of this folder to the application: the modules that have a `mount(app)`."""
    for module in pkgutil.iter_modules(__path__):
        mount = getattr(import_module(f"{__name__}.{module.name}"), "mount", None)
        if mount is not None:
            mount(app)
