"""How the tokens of an answer are drawn: as configured, and otherwise where the answer before could not be read.

A call that a server's parser refuses comes again where the same is drawn again (qwen3-coder's XML does). So the
request after it is a warmer one, and has another seed where one is configured. Both belong to a request alone: no
server loads its model anew for them.
"""

from __future__ import annotations

from jetbox.engine.models.base import ModelInfo
from jetbox.engine.options import ModelOptions

WARMER = 0.2
"""By so much each answer in a row that could not be read raises the temperature of the next."""
WARMEST = 1.0
"""It is raised to this at most: above it calls get worse, not better."""
USUAL = 0.8
"""Ollama's, where neither the user nor the model's own file says; others lie between this and 1."""


def drawn(options: ModelOptions, info: ModelInfo | None, unread: int) -> tuple[float | None, int | None]:
    """Temperature and seed of the next request, after so many answers in a row that could not be read.

    None leaves it to the server.
    """
    if not unread:
        return options.temperature, options.seed
    before = options.temperature
    if before is None:
        before = USUAL if info is None or info.own_temperature is None else info.own_temperature
    warmer = max(before, min(WARMEST, round(before + WARMER * unread, 2)))
    return warmer, None if options.seed is None else options.seed + unread
