"""What fills the window, and what the server holds: in words, for the transcript."""

from __future__ import annotations

from jetbox.engine import events as e
from jetbox.engine import sizes
from jetbox.ui import words
from jetbox.ui.lineup import LOADING, in_memory
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
        near = "~" if reuse.estimated else ""
        out.append(
            f"of its {words.count(reuse.of)} tokens {near}{reuse.tokens / reuse.of:.0%} came from the server's cache"
        )
    return out


def usage_words(ended: e.GoalEnded | None) -> list[str]:
    """What the last goal took of this machine, the server apart."""
    if ended is None or not ended.memory:
        return []
    mine, others = words.duration(ended.cpu_ns), words.duration(ended.others_ns)
    return [
        f"CPU of the last goal: {mine} here, {others} of commands and probes",
        f"memory: {sizes.size(ended.memory)} here at most",
    ]


def held_words(listed: e.ModelsListed | None, now: int) -> list[str]:
    """What the server has in its memory."""
    out = [listed.problem] if listed is not None and listed.problem else []
    if listed is not None and listed.loading:
        return [*out, LOADING]
    loaded = [model for model in listed.models if model.loaded] if listed is not None else []
    names = {model.name for model in loaded}
    loaded = [model for model in loaded if model.loaded_as not in names]  # its memory is told there
    if not (loaded or out):
        return ["the server holds no model in memory"]
    return [*out, *(f"{model.name}: {', '.join(in_memory(model, now))}" for model in loaded)]
