"""Imports Textual without what the first frame does not show: its command palette, with the widgets that it is made of.

Every application imports those at its start; they are a tenth of what Textual takes. They
are put in their place before the palette is opened (`with_palette`).
"""

from __future__ import annotations

import sys
from types import ModuleType

PALETTE = "textual.command"
NAMES = ("CommandListItem", "CommandPalette", "DiscoveryHit", "Hit", "Hits", "Provider", "SimpleProvider")
"""What Textual takes of it when it is imported."""


def import_textual() -> None:
    """Import `textual.app` with classes that only have names in the place of the palette's."""
    if "textual.app" in sys.modules or PALETTE in sys.modules:
        return
    stand_in = ModuleType(PALETTE)
    for name in NAMES:
        setattr(stand_in, name, type(name, (), {}))
    sys.modules[PALETTE] = stand_in
    try:
        import textual.app  # noqa: F401
    finally:
        # Whoever imports it from now on gets the real one.
        del sys.modules[PALETTE]


def with_palette() -> None:
    """Give `textual.app` the real palette."""
    import textual.app
    import textual.command

    for name in NAMES:
        if hasattr(textual.app, name):
            setattr(textual.app, name, getattr(textual.command, name))
