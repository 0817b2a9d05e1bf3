"""Goes over to another model in mid-session: what that will cost is told before, what it did cost after."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from jetbox.engine.context.budget import LEAST_ANSWER, MARGIN
from jetbox.engine.context.carry import reader_of
from jetbox.engine.control import Wish
from jetbox.engine.errors import ContextOverflow, KeyWanted, ModelError, ModelNotFound, ServerUnreachable
from jetbox.engine.events import ModelSwitched, Notice, SwitchCost, SwitchPaid
from jetbox.engine.models.base import CACHED, EVALUATED, ModelInfo
from jetbox.engine.models.catalog import Catalog, Entry
from jetbox.engine.models.choose import choose_model, options_for
from jetbox.engine.models.figures import Figures, median
from jetbox.engine.models.prefix import Reuse
from jetbox.engine.models.window import Window, choose_window
from jetbox.engine.parts import Parts, Switched

WARM_LOAD_NS = 150_000_000
"""What a server takes at most before a model that is there: no load."""
WAITED_NS = 1_000_000_000
"""A first word that takes so much longer than the server tells of was waited for behind something else."""


async def switch_as_wished(parts: Parts) -> bool:
    """Go over to the model that is wished for, if the server has it and it is fit; else say why not."""
    wish, parts.control.wish = parts.control.wish, None
    if wish is None or parts.model.full_name(wish.name) == parts.model_name:
        if wish is not None and wish.reason == "user":
            parts.control.settled, parts.came_from = True, ""
        return False
    try:
        entry, window = await usable(parts, wish.name)
        figures = await known_of(parts, entry)
    except asyncio.CancelledError:
        parts.control.wish = parts.control.wish or wish  # one of the user's outlives the goal
        raise
    except ModelError as error:
        if wish.reason == "user" and isinstance(error, ServerUnreachable) and not isinstance(error, KeyWanted):
            parts.control.wish = parts.control.wish or wish
            queued = f"{wish.name} is queued until it answers, and not known to be there"
            text = f"{error.message}; going on with {parts.model_name}, {queued}"
            parts.session.emit(Notice(level="warning", text=text, hint=error.hint))
            return False
        await cannot(parts, wish, error)
        return False
    old, expected = parts.model_name, predict(parts, entry, figures, window)
    parts.session.emit(ModelSwitched(old=old, new=entry.info.name, reason=wish.reason, why=wish.why, expected=expected))
    parts.use_model(entry.info, window)
    parts.came_from = "" if wish.reason == "user" else old
    if wish.reason == "user":
        parts.control.settled = True
        parts.barred.pop(entry.info.name, None)
    parts.loaded = entry.loaded is not None
    if parts.model.manages and not parts.loaded:
        parts.prefix.unloaded(entry.info.name)
    parts.recall(figures)
    parts.switched = Switched(old, expected)
    return True


async def cannot(parts: Parts, wish: Wish, error: ModelError) -> None:
    """Say why a model that was wished for cannot be gone over to, and what can be done."""
    if wish.reason == "user":
        parts.control.chosen = parts.control.settled
    text = f"{error.message}; going on with {parts.model_name}"
    if isinstance(error, ModelNotFound) and wish.reason == "user":
        if parts.model.full_name(wish.name) in parts.fetching:
            text = f"{wish.name} is being fetched, and gone over to when it is there; going on with {parts.model_name}"
            parts.session.emit(Notice(level="info", text=text))
            return
        if parts.control.attended:
            from jetbox.engine.models.missing import missing

            parts.session.emit(await missing(parts.model, wish.name, error))
    parts.session.emit(Notice(level="warning", text=text, hint=error.hint))


async def go_on_with_another(parts: Parts, old: str) -> None:
    """A session is taken up with another model than it had: its history is that one's."""
    assert parts.model_info is not None
    parts.history.was_said_by(old)
    parts.history.read_by(reader_of(parts.model_info))
    try:
        found = (await catalog_of(parts).look()).find(parts.model_name)
    except ModelError:
        found = None  # the first request will say what is wrong
    entry = found or Entry(parts.model_info)
    expected = predict(parts, entry, await known_of(parts, entry), parts.window)
    parts.session.emit(ModelSwitched(old=old, new=parts.model_name, expected=expected))
    parts.switched = Switched(old, expected)


async def usable(parts: Parts, name: str) -> tuple[Entry, Window]:
    """The model as the server has it, and its window.

    Raises:
        ModelError: it is not there, is not fit, or the server does not answer.
        ContextOverflow: what was said already does not fit into its window.
    """
    catalog = catalog_of(parts)
    entry = (await catalog.look()).find(name)
    if entry is not None and not entry.lacks:
        entry = await catalog.whole(entry)
    else:
        # Not in the list, as far as that is new enough, or not fit: its words are said in one place.
        info = await choose_model(parts.model, name)
        entry = Entry(info)
    window = await window_on(parts, entry.info)
    _fits(parts, entry.info, window)
    return entry, window


def _fits(parts: Parts, info: ModelInfo, window: Window) -> None:
    """Refuse a model whose window is too small for what was said already.

    Raises:
        ContextOverflow
    """
    most, tokens = window.tokens, parts.budget.estimate(parts.history.size)
    if tokens + MARGIN + LEAST_ANSWER > most:
        why = f" ({window.why})" if most < info.max_ctx else ""
        raise ContextOverflow(
            f"{info.name} takes {most:,} tokens{why}, and the session has about {tokens:,}",
            "choose a model with a larger window, or make the history shorter with /compact",
        )


async def window_on(parts: Parts, info: ModelInfo) -> Window:
    """The window for this model: what it had before in this session, else as for a session that begins with it.

    Raises:
        ModelError: the server went away while it was asked.
    """
    if info.name == parts.model_name:
        return parts.window
    before = parts.windows.get(info.name)
    least = parts.budget.estimate(parts.history.size) + MARGIN + LEAST_ANSWER
    return before or await choose_window(parts.model, info, parts.options.context, parts.environ, least=least)


def catalog_of(parts: Parts) -> Catalog:
    """The session's catalog of its server."""
    if parts.catalog is None:
        parts.catalog = Catalog(parts.model)
    return parts.catalog


async def known_of(parts: Parts, entry: Entry) -> Figures:
    """What was measured of the model on this machine; empty where nothing is kept."""
    if parts.known is None:
        return Figures()
    return await asyncio.to_thread(parts.known, entry.info.name, entry.info.digest)


def predict(parts: Parts, entry: Entry, figures: Figures, window: Window | None) -> SwitchCost:
    """What this model would need to go on from here, by what was measured of it.

    `window` is what it would have; it may be left out for one that is not loaded.
    """
    info = entry.info
    size = parts.budget.estimate(parts.history.size)
    # Loaded with another window, it is loaded again.
    there = entry.loaded is not None and entry.loaded.window in (0, window.tokens if window else 0)
    cached = 0
    if there:
        head = parts.history.head_for(info.name, options_for(info, parts.options.model), parts.tool_specs)
        cached = int(size * parts.prefix.shared(info.name, head, parts.history.as_read_by(reader_of(info))))
    fresh = max(1, size - cached)
    rate = median(figures.prefill)
    load = int(median(figures.load)) if figures.load else -1
    if there or not parts.model.manages:
        load = 0
    return SwitchCost(load, int(fresh / rate * 1e9) if rate else -1, fresh, cached)


def pay(parts: Parts, metrics: Mapping[str, int], reuse: Reuse | None, waited_ns: int = -1) -> None:
    """The new model has answered: compare. `waited_ns` passed until its first word; negative where nobody knows.

    Where that is more than the server tells of the answer, what was begun before it was still at work: a warm-up
    that was taken back for it, whose reading it found in the cache.
    """
    switched, parts.switched = parts.switched, None
    if switched is None:
        return
    count = metrics.get("prompt_eval_count", 0)
    cached = reuse.tokens if reuse is not None else metrics.get(CACHED, 0)
    load, reading = metrics.get("load_duration", -1), metrics.get("prompt_eval_duration", -1)
    if load >= 0 and 0 <= reading < waited_ns - load - WAITED_NS:
        reading = waited_ns - load
    cost = SwitchCost(
        load_ns=0 if 0 <= load < WARM_LOAD_NS else load,
        prefill_ns=reading,
        tokens=metrics.get(EVALUATED, max(0, count - cached)),
        cached=cached,
    )
    parts.session.emit(SwitchPaid(model=parts.model_name, cost=cost, expected=switched.expected))
