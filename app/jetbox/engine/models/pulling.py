"""Has the server fetch a model, and tells how far that is."""

from __future__ import annotations

import asyncio

from jetbox.engine.errors import ModelError
from jetbox.engine.events import ModelPulled, Notice
from jetbox.engine.models.base import ChatModel, PullStep
from jetbox.engine.session import Session

TELL_NS = 200_000_000
"""So often the progress is told."""


async def pull(session: Session, model: ChatModel, name: str) -> bool:
    """Have the server fetch a model, with words about the progress; False where it could not."""
    layers: dict[str, PullStep] = {}
    told = -TELL_NS
    try:
        async for step in model.pull(name):
            if step.total:
                layers[step.status] = step
            if session.now() - told >= TELL_NS:
                told = session.now()
                session.emit(_progress(name, step.status, layers))
    except ModelError as error:
        session.emit(ModelPulled(name=name, state="failed", status=error.message))
        session.emit(Notice(level="warning", text=error.message, hint=error.hint))
        return False
    except asyncio.CancelledError:
        session.emit(ModelPulled(name=name, state="cancelled"))
        raise
    session.emit(_progress(name, "success", layers, done=True))
    return True


def _progress(name: str, status: str, layers: dict[str, PullStep], *, done: bool = False) -> ModelPulled:
    total = sum(step.total for step in layers.values())
    here = sum(step.completed for step in layers.values())
    return ModelPulled(name=name, state="done" if done else "running", status=status, total=total, completed=here)
