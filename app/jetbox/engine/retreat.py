"""Back to the model before, where a rule went over to one that will not work: the goal need not end with it."""

from __future__ import annotations

from jetbox.engine.control import Wish
from jetbox.engine.errors import (
    BadAnswer,
    CallGarbled,
    JetboxError,
    KeyWanted,
    ModelNotFound,
    ModelUnfit,
    OtherProtocol,
    OutOfMemory,
    RequestRefused,
    ServerBusy,
    Stalled,
    StillLoading,
)
from jetbox.engine.events import Notice
from jetbox.engine.parts import Parts
from jetbox.engine.switching import switch_as_wished

LASTING = (KeyWanted, ModelNotFound, ModelUnfit, OutOfMemory, RequestRefused)
"""What is about the one model, and would be said again."""
PASSING = (BadAnswer, ServerBusy, Stalled)
"""What may be another time; it was tried again as often as that may help."""
OURS = (CallGarbled, OtherProtocol, StillLoading)
"""What is about the answer, or the server as a whole."""


async def went_back(parts: Parts, error: JetboxError) -> bool:
    """Whether the request can be sent to the model before; the rule leaves this one alone, in this goal at least."""
    before, name = parts.came_from, parts.model_name
    lasting = isinstance(error, LASTING)
    if not before or not (lasting or isinstance(error, PASSING)) or isinstance(error, OURS):
        return False
    if before in parts.barred or before in parts.spared:
        return False  # neither will work
    parts.came_from, why = "", f"{name} cannot be used"
    (parts.barred if lasting else parts.spared)[name] = why
    chosen = f"rules do without it until you choose it (/model {name})"
    until = chosen if lasting else "the rule does without it until the goal ends"
    hint = f"{error.hint}; {until}"
    parts.session.emit(Notice(level="warning", text=f"{error.message}; going on with {before}", hint=hint))
    if parts.control.wish is None or parts.control.wish.reason != "user":
        parts.control.wish = Wish(before, "routing", why)
    return await switch_as_wished(parts)
