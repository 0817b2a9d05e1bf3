"""How a verdict came about, and the sign of that."""

from __future__ import annotations

from jetbox.engine import events as e
from jetbox.ui.glyphs import Glyphs


def came(state: str, cache: str, *, unproven: bool = False) -> str:
    """How a verdict came about: ran, hit, unproven, partial, skipped; error for one that no run came to."""
    if state == "skipped":
        return "skipped"
    if state in e.RED and cache == "none":
        return "error"
    return "unproven" if unproven and cache == "hit" else cache


def came_by(probe: e.ProbeEnded) -> str:
    """How this one did."""
    return came(probe.state, probe.cache, unproven=probe.unproven)


def cache_sign(how: str, glyphs: Glyphs) -> str:
    """The sign of how a verdict came about."""
    signs = {"ran": glyphs.ran, "hit": glyphs.hit, "unproven": glyphs.unproven, "partial": glyphs.partial}
    signs["error"] = glyphs.failed
    return signs.get(how, glyphs.skipped).strip()
