"""Back to the model before, where a rule went over to one that will not work: the goal need not end with it."""

from __future__ import annotations

from jetbox.engine.control import Wish
from jetbox.engine.errors import (
    JetboxError,
    KeyWanted,
    ModelNotFound,
    ModelUnfit,
    OutOfMemory,
    RequestRefused,
    ServerBusy,
    StillLoading,
)
from jetbox.engine.events import Notice
from jetbox.engine.parts import Parts
from jetbox.engine.switching import switch_as_wished

LASTING = (KeyWanted, ModelNotFound, ModelUnfit, OutOfMemory, RequestRefused, ServerBusy)
"""What is about the one model, and would be said again."""


async def went_back(parts: Parts, error: JetboxError) -> bool:
    """Whether the request can be sent to the model before; rules leave this one alone until the user chooses it."""
    before, name = parts.came_from, parts.model_name
    if not before or not isinstance(error, LASTING) or isinstance(error, StillLoading):
        return False
    parts.came_from = ""
    parts.barred[name] = why = f"{name} cannot be used"
    hint = f"{error.hint}; rules do without it until you choose it (/model {name})"
    parts.session.emit(Notice(level="warning", text=f"{error.message}; going on with {before}", hint=hint))
    if parts.control.wish is None or parts.control.wish.reason != "user":
        parts.control.wish = Wish(before, "routing", why)
    return await switch_as_wished(parts)
