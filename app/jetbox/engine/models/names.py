"""Names of models: which cannot be one, and the model that a session begins with."""

from __future__ import annotations

from jetbox.engine.options import EngineOptions


def misnamed(name: str, *, spaces: bool = True) -> str:
    """Why no model can have this name, in words; empty where one can. `spaces`: it may be one of several words."""
    if not name.strip():
        return "it is empty"
    if not name.isprintable():
        return "it holds characters that cannot be printed"
    if name != name.strip() or (" " in name and not spaces):
        return "it holds spaces"
    return ""


def first_name(options: EngineOptions, before: str = "") -> str:
    """The name of the model that a session begins with: as it is set, as it was `before`, else the rule's first."""
    rule = options.routing.small if options.routing.mode != "off" else ""
    return options.model.name or before or rule
