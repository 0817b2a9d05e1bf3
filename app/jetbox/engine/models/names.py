"""Names of models: which cannot be one, and the model that a session begins with."""

from __future__ import annotations

import re

from jetbox.engine.options import EngineOptions

OLLAMAS = re.compile(r"(?:https?://)?(?:[\w.:-]+/){0,2}[\w.-]+(?::[\w.-]+)?", re.ASCII)
"""How Ollama has names written; it refuses all others."""


def misnamed(name: str, *, ollama: bool = False) -> str:
    """Why no model can have this name, in words; empty where one can. `ollama`: its rules hold."""
    if not name.strip():
        return "it is empty"
    if not name.isprintable():
        return "it holds characters that cannot be printed"
    if name != name.strip() or (" " in name and ollama):
        return "it holds spaces"
    if ollama and not OLLAMAS.fullmatch(name):
        return "it is not written as NAME:TAG, or as HOST/USER/NAME:TAG"
    return ""


def first_name(options: EngineOptions, before: str = "") -> str:
    """The name of the model that a session begins with: as it is set, as it was `before`, else the rule's first."""
    rule = options.routing.small if options.routing.mode != "off" else ""
    return options.model.name or before or rule
