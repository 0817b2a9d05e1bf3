"""Which models have the same weights: Ollama holds those once, under the name that they were loaded by."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

import msgspec

from jetbox.engine.models.base import LoadedModel

_MADE_OF = re.compile(r"(?m)^(FROM|ADAPTER) [^\n]*\b(sha256[-:][0-9a-f]{64})[ \t\r]*$")
"""A line of a model's file that names weights by their digest."""
Made = frozenset[tuple[str, str]]


class Weights:
    """What the models that were asked about are made of."""

    def __init__(self) -> None:
        self._asked: dict[str, Made] = {}
        """By the full name of a model that somebody wants to know about."""
        self._held: dict[tuple[str, str], Made] = {}
        """By name and digest of what was seen to be held."""

    def told(self, name: str, modelfile: str) -> None:
        """Take what the server says of a model."""
        self._asked[name] = _made(modelfile)

    async def named(self, running: list[LoadedModel], modelfile: Callable[[str], Awaitable[str]]) -> list[LoadedModel]:
        """Each with the names under which the same weights are asked for; `modelfile` asks for that of one, once."""
        listed = {model.name for model in running}
        sought = {name: made for name, made in self._asked.items() if made and name not in listed}
        if not sought:
            return running
        found = []
        for model in running:
            key = model.name, model.digest
            if key not in self._held:
                self._held[key] = _made(await modelfile(model.name))
            also = tuple(name for name, made in sought.items() if made == self._held[key])
            found.append(msgspec.structs.replace(model, also=also))
        return found


def _made(modelfile: str) -> Made:
    return frozenset((found[1], found[2].replace(":", "-")) for found in _MADE_OF.finditer(modelfile))
