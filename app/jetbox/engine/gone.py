"""A model that the server has no longer, or that calls no tools any more: whoever sits there has it fetched, or names
another, and work goes on."""

from __future__ import annotations

from jetbox.engine.errors import ModelError, ModelNotFound, ModelUnfit
from jetbox.engine.events import Notice, Waiting
from jetbox.engine.models.choose import choose_model
from jetbox.engine.models.missing import missing
from jetbox.engine.parts import Parts
from jetbox.engine.switching import switch_as_wished, usable


async def replaced(parts: Parts, error: ModelNotFound | ModelUnfit) -> ModelError | None:
    """None where the request can be sent anew, perhaps to another model; else why not, in full.

    The user is waited for; nothing of the answer must have come.
    """
    told = await _in_full(parts)
    if told is not None:
        error = told
    if not parts.control.attended or (told is None and isinstance(error, ModelUnfit)):
        return error  # what the server lists as fit, it refuses for another reason
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


async def _in_full(parts: Parts) -> ModelNotFound | ModelUnfit | None:
    """The error with what the server has instead, and how the model is got; None where it says that all is well."""
    try:
        await choose_model(parts.model, parts.model_name)
    except (ModelNotFound, ModelUnfit) as told:
        return told
    except ModelError:
        pass
    return None
