"""Imports httpx without what it would load for its own command line."""

from __future__ import annotations

import sys
from types import ModuleType


def import_httpx() -> ModuleType:
    """httpx without its command-line program, which would load rich and pygments too."""
    name = "httpx._main"
    blocked = "httpx" not in sys.modules and name not in sys.modules
    if blocked:
        sys.modules[name] = None  # type: ignore[assignment]  # httpx treats it as not installed
    try:
        import httpx
    finally:
        if blocked:
            del sys.modules[name]
    return httpx
