"""A model that the server has no longer: whoever sits there has it fetched, or names another, and work goes on."""

from __future__ import annotations

from jetbox.engine.errors import ModelError, ModelNotFound
from jetbox.engine.events import Notice, Waiting
from jetbox.engine.models.choose import choose_model
from jetbox.engine.models.missing import missing
from jetbox.engine.parts import Parts
from jetbox.engine.switching import switch_as_wished, usable


async def replaced(parts: Parts, error: ModelNotFound) -> ModelError | None:
    """None where the request can be sent anew, perhaps to another model; else why not, in full.

    The user is waited for; nothing of the answer must have come.
    """
    error = await _in_full(parts, error)
    if not parts.control.attended:
        return error
    parts.session.emit(await missing(parts.model, parts.model_name, error))
    while True:
        parts.session.emit(Waiting(what="choosing", detail=parts.model_name))
        await parts.control.model_named()
        wish = parts.control.wish
        if wish is None or parts.model.full_name(wish.name) == parts.model_name:
            parts.control.wish = None
            return None
        try:
            await usable(parts, wish.name)
        except ModelError as unfit:
            parts.control.wish = None
            parts.session.emit(Notice(level="warning", text=unfit.message, hint=unfit.hint))
        else:
            await switch_as_wished(parts)
            return None


async def _in_full(parts: Parts, error: ModelNotFound) -> ModelNotFound:
    """The error with what the server has instead, and how the model is got."""
    try:
        await choose_model(parts.model, parts.model_name)
    except ModelNotFound as told:
        return told
    except ModelError:
        pass
    return error
