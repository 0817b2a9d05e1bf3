"""What a server was started as."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from jetbox.sim import catalog
from jetbox.sim.flavours import FLAVOURS, Flavour

VERSION = "0.33.3"


class Setup(NamedTuple):
    """What a server was started as."""

    default_ctx: int = 4096
    """Window of a request that names none, in tokens; of every request where it cannot name one."""
    models: tuple[catalog.Model, ...] = catalog.MODELS
    version: str = VERSION
    flavour: Flavour = FLAVOURS["ollama"]
    api_key: str = ""
    """Key that requests must have; empty for none."""
    lacks: frozenset[str] = frozenset()

    @property
    def release(self) -> tuple[int, ...]:
        """The version as numbers."""
        return tuple(int(part) for part in re.findall(r"\d+", self.version)[:3])

    @property
    def counts_cached(self) -> bool:
        """True where answers say how much of a prompt was in the cache."""
        if self.flavour.name == "ollama":
            return self.release >= (0, 33, 3)
        return "cached-tokens" not in self.lacks

    @property
    def tells_logprobs(self) -> bool:
        """True where probabilities come if they are asked for."""
        newer = self.flavour.name != "ollama" or self.release >= (0, 12, 11)
        return newer and "logprobs" not in self.lacks

    def fixed_launch(self, model: catalog.Model) -> dict[str, Any]:
        """What a model is loaded with where requests cannot say it."""
        return {"num_ctx": min(self.default_ctx, model.context_length), "shift": None}
