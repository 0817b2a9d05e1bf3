"""Imports Textual and asyncio without what the first frame does not need.

Of Textual that is its command palette, with the widgets that it is made of: every application
imports them at its start, and they are a tenth of what Textual takes. The workbench has a palette
of its own. Of what else Textual imports some modules serve one function that is hardly ever called:
they come when it is. Of asyncio it is TLS: it comes when it is first asked for.
"""

from __future__ import annotations

import sys
from types import ModuleType

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing alone takes as long as the rest of this
    from collections.abc import Callable
    from typing import Any

TLS = ("ssl", "asyncio.sslproto")

PALETTE = "textual.command"
NAMES = ("CommandListItem", "CommandPalette", "DiscoveryHit", "Hit", "Hits", "Provider", "SimpleProvider")
"""What Textual takes of it when it is imported."""

SELDOM = {"mimetypes": (), "platformdirs": ("user_downloads_path",), "difflib": ("get_close_matches",)}
"""Modules that Textual needs for downloads and for hints at wrong names only, with what it takes of them by name."""


class Later(ModuleType):
    """A module that is imported when something of it is first asked for."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        from importlib import import_module

        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        found = import_module(self.__name__)
        self.__dict__.update(found.__dict__)
        return getattr(found, name)


def _when_called(module: str, name: str) -> Callable[..., Any]:
    """A function whose module is imported when it is called."""

    def call(*args: Any, **options: Any) -> Any:
        from importlib import import_module

        return getattr(import_module(module), name)(*args, **options)

    return call


def import_asyncio() -> None:
    """Import `asyncio` with modules that come later in the place of those for TLS."""
    if "asyncio" in sys.modules or TLS[0] in sys.modules:
        return
    later = {name: Later(name) for name in TLS}
    sys.modules.update(later)
    try:
        import asyncio  # noqa: F401
    finally:
        # Whoever imports them from now on gets the real ones.
        for name, module in later.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]


def import_textual() -> None:
    """Import `textual.app` with classes that only have names in the place of the palette's."""
    if "textual.app" in sys.modules or PALETTE in sys.modules:
        return
    stand_in = ModuleType(PALETTE)
    for name in NAMES:
        setattr(stand_in, name, type(name, (), {}))
    stand_ins: dict[str, ModuleType] = {PALETTE: stand_in}
    for module, names in SELDOM.items():
        if module not in sys.modules:
            later = stand_ins[module] = Later(module)
            for name in names:
                setattr(later, name, _when_called(module, name))
    sys.modules.update(stand_ins)
    try:
        import textual.app  # noqa: F401
    finally:
        # Whoever imports them from now on gets the real ones.
        for name, each in stand_ins.items():
            if sys.modules.get(name) is each:
                del sys.modules[name]
