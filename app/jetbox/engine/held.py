"""What the server holds of the model in use and until when: asked for while nothing streams, and seldom."""

from __future__ import annotations

import asyncio

from jetbox.engine.errors import ModelError
from jetbox.engine.events import GoalEnded, ModelHeld, ModelSwitched, ModelWarmed, Notice
from jetbox.engine.models.base import LoadedModel
from jetbox.engine.models.until import session_time
from jetbox.engine.models.window import rung_below
from jetbox.engine.parts import Parts
from jetbox.engine.room import LEAST_REAL

LOOK_S = 10.0
"""So often the server is asked while no goal runs."""
ASK_S = 1.0
"""A server that takes longer to answer loads or unloads a model; it is asked again later."""
DRIFT_NS = 3_000_000_000
"""A time of unloading that moves by less is not told anew."""
ON_GPU = 0.99
"""Below this share the part of the model that the CPU works on slows everything down."""

FASTER = "a smaller --num-ctx or a smaller model is faster"
"""What helps where a part of a model is not on the GPU."""


async def watch_held(parts: Parts) -> None:
    """Ask after each goal, and now and then while none runs, until cancelled."""
    reader = parts.session.feed(GoalEnded, ModelSwitched, ModelWarmed, past=False)
    last: ModelHeld | None = None
    try:
        while not parts.session.closed:
            try:
                async with asyncio.timeout(LOOK_S):
                    await reader.ready()
            except TimeoutError:
                pass
            reader.drain()
            if parts.control.interrupt is None:  # no goal runs
                last = await look_at_held(parts, last)
    finally:
        parts.session.drop(reader)


async def look_at_held(parts: Parts, last: ModelHeld | None = None, *, ours: bool = False) -> ModelHeld | None:
    """Ask once, and tell what is new since `last`; what is known now.

    `ours`: we had it loaded just now, with the window that every request asks for.
    """
    try:
        async with asyncio.timeout(ASK_S):
            running = await parts.model.running()
    except (TimeoutError, ModelError):
        return last
    found = next((model for model in running if model.serves(parts.model_name)), None)
    seen = held(parts.model_name, found, parts.session.now())
    parts.lists_held = parts.lists_held or bool(running)
    elsewhere = parts.model_info is not None and parts.model_info.remote
    if parts.lists_held and not (seen.loaded or parts.control.interrupt or elsewhere):
        parts.loaded = False
    if last is not None and _same(seen, last):
        return last
    parts.session.emit(seen)
    if ours and LEAST_REAL <= seen.window < parts.budget.window:
        _keep_to(parts, seen)
    _warn(parts, seen)
    return seen


async def tell_spilled(parts: Parts) -> None:
    """Ask once, after the work of a session that nobody watches, and say what slowed it down."""
    try:
        async with asyncio.timeout(ASK_S):
            running = await parts.model.running()
    except (TimeoutError, ModelError):
        return
    for model in running:
        if model.serves(parts.model_name) and (text := spilled(parts.model_name, model.size, model.size_vram)):
            parts.tell_once(text, FASTER, level="info")


def held(name: str, model: LoadedModel | None, now: int) -> ModelHeld:
    """What the server said at session time `now` (ns)."""
    if model is None:
        return ModelHeld(name=name, loaded=False)
    return ModelHeld(
        name=name,
        size=model.size,
        size_vram=model.size_vram,
        window=model.window,
        expires=session_time(model.expires_at, now),
    )


def _same(a: ModelHeld, b: ModelHeld) -> bool:
    what = [(h.name, h.loaded, h.size, h.size_vram, h.window, h.expires < 0) for h in (a, b)]
    return what[0] == what[1] and abs(a.expires - b.expires) < DRIFT_NS


def _keep_to(parts: Parts, seen: ModelHeld) -> None:
    """The server allows no more: the same is asked for, since another would load it again, and less is filled."""
    asked, window = parts.budget.num_ctx, seen.window
    parts.window_why = f"the server allows no more; {asked:,} were asked for"
    parts.budget.real = window
    parts.tell_model(window)
    parts.session.emit(
        Notice(
            level="warning",
            text=f"the server holds {seen.name} with a window of {window:,} tokens, not {asked:,}: it allows no more; "
            "no more than that is filled",
            hint=f"--num-ctx {rung_below(window + 1) or window} asks for no more than that from the beginning",
        )
    )


def _warn(parts: Parts, seen: ModelHeld) -> None:
    """What makes the next request slow is told when it is first seen."""
    if not seen.loaded:
        return
    window = parts.budget.num_ctx
    if seen.window not in (0, window, parts.budget.window):
        parts.tell_once(
            f"the server holds {seen.name} with a window of {seen.window:,} tokens, not {window:,}: "
            "another client loaded it, or the server allows no more",
            "what another client loaded, the next request loads again; give all clients the same window",
        )
    if text := spilled(seen.name, seen.size, seen.size_vram):
        parts.tell_once(text, FASTER, level="info")


def spilled(name: str, size: int, size_vram: int) -> str:
    """What a model does not have on the GPU, in words; empty where it is there, or that is not told."""
    share = size_vram / size if size else 1.0
    if share < 1 - ON_GPU:
        return f"all of {name} is worked on by the CPU: it does not fit a GPU's memory, or the server has none"
    if share < ON_GPU:
        return f"{1 - share:.0%} of {name} is worked on by the CPU: it does not fit the GPU's memory"
    return ""
