"""What fills the window, and what the server holds: in words, for the transcript."""

from __future__ import annotations

from jetbox.engine import events as e
from jetbox.ui import words
from jetbox.ui.model import SessionView
from jetbox.ui.prompts import Prompts

SHARES = {
    "system": "instructions",
    "user": "your words",
    "assistant": "the model's",
    "tool": "results",
}


def context_words(view: SessionView, prompts: Prompts) -> list[str]:
    """How full the window is, and with what."""
    if not view.window:
        return ["nothing is known of the window yet"]
    about = "~" if view.estimated else ""
    share = f" ({view.tokens / view.window:.0%})" if view.tokens else ""
    why = f": {view.why_window}" if view.why_window else ""
    out = [f"context: {about}{words.count(view.tokens)} of {words.count(view.window)} tokens{share}{why}"]
    if not prompts.sent:
        return out
    last = len(prompts.sent) - 1
    sizes = {"tools and options": len(prompts.head(last))}
    for role, text in prompts.roles(last):
        name = SHARES.get(role, role)
        sizes[name] = sizes.get(name, 0) + len(text)
    total = sum(sizes.values())
    parts = [f"{name} {size / total:.0%}" for name, size in sizes.items() if size]
    reuse = prompts.sent[last].reuse
    out.append(f"the last request, by bytes: {', '.join(parts)}")
    if reuse is not None and reuse.of:
        out.append(f"of its {words.count(reuse.of)} tokens {reuse.tokens / reuse.of:.0%} came from the server's cache")
    return out


def held_words(listed: e.ModelsListed | None, now: int) -> list[str]:
    """What the server has in its memory."""
    loaded = [model for model in listed.models if model.loaded] if listed is not None else []
    if listed is not None and listed.loading:
        return ["the server loads or unloads a model, and does not say what is in memory"]
    if not loaded:
        return ["the server holds no model in memory"]
    out = []
    for model in loaded:
        parts = [words.size(model.memory)] if model.memory else []
        if model.memory and model.memory_gpu < 0.99 * model.memory:
            parts.append(f"{1 - model.memory_gpu / model.memory:.0%} on CPU")
        if model.window:
            parts.append(f"window {words.count(model.window)}")
        if model.expires < 0:
            parts.append("kept")
        elif model.expires:
            parts.append(f"unloads in {words.countdown(max(0, model.expires - now))}")
        out.append(f"{model.name}: {', '.join(parts) or 'loaded'}")
    return out
